"""The one exception for a user's mistake, and the record of an input that was skipped."""

from typing import NotRequired, TypedDict


class InputError(ValueError):
    """Input that cannot be used. The message is one line: the value, the rule it breaks and the remedy.

    The command line prints the message without a traceback and exits with status 2.
    """


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


__all__ = ["Failure", "InputError", "as_input_error"]
