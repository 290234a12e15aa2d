"""Faces for the contact sheets of a timeline."""

import io
from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image

from ..models.persons_av_emotion import in_order
from ..models.windows_av_emotion import ClipInputs
from ..timeline.table import FacePicture

PICTURES, PICTURE_SIDE = 8, 72  # faces of a person, and their side in pixels


class FacePictures:
    """A few face crops of each person, evenly over the clip, however long it is."""

    def __init__(self) -> None:
        self._kept: dict[str, list[FacePicture]] = {}
        self._stride: dict[str, int] = {}
        self._count: dict[str, int] = {}

    def watched(self, chunks: Iterable[ClipInputs]) -> Iterator[ClipInputs]:
        """The chunks as they are; one crop of each person in each of them is offered."""
        for chunk in chunks:
            for name in dict.fromkeys(chunk.persons):
                rows = [row for row, one in enumerate(chunk.persons) if one == name]
                middle = rows[len(rows) // 2]
                self._offer(name, chunk.start + float(chunk.face_times[middle]), chunk.crops[middle])
            yield chunk

    def _offer(self, name: str, time: float, crop: np.ndarray) -> None:
        """Keep every crop until there are twice as many as needed, then every second one, and so on."""
        kept, stride = self._kept.setdefault(name, []), self._stride.setdefault(name, 1)
        number = self._count[name] = self._count.get(name, -1) + 1
        if number % stride:
            return
        picture = io.BytesIO()
        Image.fromarray(np.asarray(crop)).resize((PICTURE_SIDE, PICTURE_SIDE)).save(picture, "JPEG", quality=80)
        kept.append(FacePicture(round(time, 3), picture.getvalue()))
        if len(kept) == 2 * PICTURES:
            del kept[1::2]
            self._stride[name] *= 2

    def chosen(self) -> dict[str, list[FacePicture]]:
        """The pictures of each person, in the order in which persons appear."""
        return {name: _spread(self._kept[name]) for name in in_order(self._kept)}


def _spread(pictures: list[FacePicture]) -> list[FacePicture]:
    """So many of them as are shown, evenly."""
    places = np.linspace(0, len(pictures) - 1, min(PICTURES, len(pictures))).round().astype(int)
    return [pictures[place] for place in places]


__all__ = ["FacePictures"]
