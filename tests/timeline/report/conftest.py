from helpers.browser import browser, visit

__all__ = ["browser", "visit"]  # fixtures
