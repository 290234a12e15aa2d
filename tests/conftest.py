import os

# read when the libraries are imported
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def pytest_configure(config):
    """Loads the fixtures, except where pytest-xdist hands out the tests: importing torch would take it ten seconds."""
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        config.pluginmanager.import_plugin("helpers.fixtures")
        config.pluginmanager.import_plugin("helpers.browser")
