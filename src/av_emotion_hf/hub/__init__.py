"""What a checkpoint needs to be at home on the Hub."""

from .cards import check_card, render_card, write_card

__all__ = ["check_card", "render_card", "write_card"]
