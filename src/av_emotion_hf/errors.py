"""The one exception for a user's mistake, the record of an input that was skipped, and names in messages."""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict


class InputError(ValueError):
    """Input that cannot be used. The message is one line: the value, the rule it breaks and the remedy.

    The command line prints the message without a traceback and exits with status 2.

    Args:
        message: any text; what is not printable in it is escaped.
        result: what had been computed when only writing it failed, as the function would have returned it. The
            command line prints it before the message.
    """

    def __init__(self, message: str, result: Any = None):
        # the name of a file may have line breaks
        super().__init__(message if message.isprintable() else printable(message))
        self.result = result


class Failure(TypedDict):
    """What could not be read and was skipped, as JSON values.

    Attributes:
        clip: name of the clip, where it is known.
        row: number of its row in the dataset.
        shard: file name or number of a damaged shard, with the row group where only that one is damaged.
        error: why it could not be read, in one line.
    """

    clip: NotRequired[str]
    row: NotRequired[int]
    shard: NotRequired[str]
    error: str


def as_input_error(error: Exception) -> InputError:
    """The error of a strict dataclass (a configuration), whose last line says what is wrong, in one line."""
    return InputError(str(error).strip().splitlines()[-1].strip().removeprefix("ValueError: "))


def require_fraction(name: str, value: float) -> None:
    """Raise [`InputError`] unless a value is in [0, 1); NaN is not."""
    if not 0 <= value < 1:
        raise InputError(f"{name}={value:g}: has to be a fraction from 0 to below 1; use 0.1, for instance")


def printable(text: str) -> str:
    """A text with its control characters escaped, so that it is one line; a name may have any of them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def shortened(names: Sequence[str], limit: int = 5) -> str:
    """`"7 files: a, b, c, d, e and 2 more"`."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    count = f"{len(names)} file{'s' if len(names) != 1 else ''}"
    return f"{count}: {', '.join(printable(name) for name in names[:limit])}{more}"


__all__ = ["Failure", "InputError", "as_input_error", "printable", "require_fraction", "shortened"]
