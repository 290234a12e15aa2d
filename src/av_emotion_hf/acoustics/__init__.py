"""Acoustic descriptors and functionals of recordings, without a model, and tables of them for whole datasets."""

from ..utils import lazy_names

_HOMES = {
    "descriptors": ("acoustic_descriptors", "acoustic_functionals", "stream_descriptors"),
    "tables": ("write_table",),
}

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
