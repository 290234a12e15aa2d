"""Marks: what a user's file has as segments, as it is written there, and the text of such files."""

import re
from pathlib import Path
from typing import NamedTuple

from ...errors import InputError
from ...utils import reason

LARGEST = 100_000_000  # bytes; a day of speech has less than a tenth of it
_BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


class Mark(NamedTuple):
    """A segment that is not checked yet.

    Attributes:
        place: where it is in the file, such as `line 12`.
        start: seconds.
        end: seconds.
        tier: its name; `None` where there is none.
        text: what is written there.
    """

    place: str
    start: float
    end: float
    tier: str | None
    text: str


def read_content(path: str | Path) -> bytes:
    """The content of a file.

    Raises:
        InputError: it cannot be read, or is too large to be a list of segments.
    """
    try:
        size = Path(path).stat().st_size
        if size > LARGEST:
            raise InputError(f"{path}: has {size:,} bytes, and a list of segments is shorter; is it another file?")
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)}); check the path") from error


def read_text(path: str | Path, remedy: str = "save it as UTF-8") -> str:
    """The text of a file in UTF-8, or in UTF-16 with a byte order mark; its lines end in a line feed.

    Raises:
        InputError: it cannot be read, or is in another encoding.
    """
    content = read_content(path)
    encoding = next((name for mark, name in _BOMS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        name = encoding.upper().removesuffix("-SIG")
        raise InputError(f"{path}: is not text in {name} (byte {error.start:,} is not); {remedy}") from error
    if "\0" in text:
        raise InputError(f"{path}: is not text in UTF-8 (it has zero bytes); {remedy}")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def seconds(text: str, what: str, where: str, has_comma: bool = False) -> float:
    """The number that a file has for a time.

    Args:
        text: as it is there.
        what: the time, such as `start`.
        where: file and place.
        has_comma: whether it may have a decimal comma.

    Raises:
        InputError: it is not a number.
    """
    number = text.strip().replace(",", ".") if has_comma else text.strip()
    if not _NUMBER.fullmatch(number):
        raise InputError(f"{where}: {what}={text!r} is not a number; write seconds, such as 12.5")
    return float(number)


__all__ = ["Mark", "read_content", "read_text", "seconds"]
