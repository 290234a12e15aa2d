"""Images for people: contact sheets of faces, and heat maps of reconstructed features.

This folder may import any other but `cli`; none but `cli` imports it.
"""

from ..utils import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {"contact_sheet": ("FaceReport", "PersonReport", "draw_faces"), "reconstruction": ("draw_reconstruction",)},
)
