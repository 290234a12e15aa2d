"""The colors of emotions in reports and figures: the same class has the same color everywhere.

They are those of Okabe and Ito (2008), or lie between them, so that people with any kind of color vision can tell them
apart. Color is never the only sign: a name or a pattern is beside it.
"""

from collections.abc import Sequence

from .answers import UNCERTAIN

GRAY = "#8c9196"  # of what is uncertain, drawn hatched
COLORS = {
    "angry": "#d55e00",
    "happy": "#e9b000",
    "sad": "#0072b2",
    "surprised": "#56b4e9",
    "fearful": "#cc79a7",
    "disgust": "#009e73",
    "neutral": "#b5aea3",
    "calm": "#7f9c96",
    "contempt": "#7a5195",
}
# names by which datasets call the same class
ALIASES = {
    "angry": ("anger", "ang"),
    "happy": ("happiness", "joy", "hap", "amused"),
    "sad": ("sadness",),
    "surprised": ("surprise", "sur"),
    "fearful": ("fear", "afraid", "scared", "fea"),
    "disgust": ("disgusted", "dis"),
    "neutral": ("neu", "none"),
    "calm": ("relaxed",),
    "contempt": ("contemptuous",),
}
OTHERS = ("#6f4e37", "#9a6fb0", "#b2a429", "#2c7873", "#a3195b", "#4f6d1a", "#5566aa", "#c98b6b")
KNOWN = {alias: name for name, aliases in ALIASES.items() for alias in (name, *aliases)}
DARK, LIGHT = "#101214", "#ffffff"


def colors_of(labels: Sequence[str]) -> dict[str, str]:
    """The color of each class as `#rrggbb`, and that of `uncertain`.

    Classes that are not known get the remaining colors in the order of `labels`.
    """
    found = {label: COLORS[KNOWN[label.lower()]] for label in labels if label.lower() in KNOWN}
    unknown = [label for label in labels if label not in found and label != UNCERTAIN]
    free = [color for color in (*OTHERS, *COLORS.values()) if color not in found.values()] or list(OTHERS)
    found |= {label: free[number % len(free)] for number, label in enumerate(unknown)}
    return {label: found[label] for label in labels if label in found} | {UNCERTAIN: GRAY}


def luminance(color: str) -> float:
    """Relative luminance of `#rrggbb` from 0 to 1, as WCAG 2 defines it."""
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def ink_on(color: str) -> str:
    """Dark or light: the color of text that is easier to read on `color`."""
    return DARK if luminance(color) > 0.179 else LIGHT


__all__ = ["GRAY", "colors_of", "ink_on", "luminance"]
