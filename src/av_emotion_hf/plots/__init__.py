"""What people look at: contact sheets of faces, heat maps of reconstructed features, and the report of an evaluation.

This folder may import any other but `cli`; none but `cli` imports it.
"""

from ..utils import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "canvas": ("BACKGROUND", "INK", "font", "write_image"),
        "contact_sheet": ("COLORS", "FaceReport", "PersonReport", "draw_faces"),
        "evaluation_page": ("write_evaluation_report",),
        "reconstruction": ("draw_reconstruction",),
    },
)
