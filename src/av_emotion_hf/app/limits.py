"""What the service takes, and what it refuses in a sentence."""

from dataclasses import dataclass

from ..errors import InputError

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Limits:
    """Limits of the service.

    Attributes:
        megabytes: largest file, in millions of bytes.
        minutes: longest clip.
        queue: how many requests may wait; one more is refused.
        workers: how many clips are analyzed at a time, each in a process with one thread.
        live: how many cameras and microphones may be live at a time, each with a process.

    Raises:
        InputError: a limit is not positive.
    """

    megabytes: float = 200.0
    minutes: float = 10.0
    queue: int = 100
    workers: int = 1
    live: int = 1

    def __post_init__(self) -> None:
        options = {
            "--max-size": self.megabytes,
            "--max-minutes": self.minutes,
            "--queue": self.queue,
            "--workers": self.workers,
            "--live": self.live,
        }
        for option, value in options.items():
            least = 0 if option == "--live" else 1 if isinstance(value, int) else 0.01
            if not least <= value < float("inf"):
                raise InputError(f"{option} {value:g}: has to be {least:g} or more")

    @property
    def bytes(self) -> int:
        """Bytes of the largest file."""
        return round(self.megabytes * MEGABYTE)

    @property
    def seconds(self) -> float:
        """Seconds of the longest clip."""
        return 60 * self.minutes

    @property
    def too_large(self) -> str:
        """What is said of a larger file."""
        return f"The file is larger than {self.megabytes:g} MB, which is the limit here; cut it or compress it more."

    def check_duration(self, name: str, seconds: float) -> None:
        """Refuse a clip that is too long.

        Args:
            name: of the clip.
            seconds: its duration.

        Raises:
            InputError: it is longer than the limit.
        """
        if seconds > self.seconds:
            raise InputError(
                f"{name}: lasts {seconds / 60:.1f} minutes, and {self.minutes:g} are the limit here; cut it, or use "
                "`av-emotion timeline` on your own machine"
            )


__all__ = ["Limits"]
