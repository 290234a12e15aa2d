"""What the commands print: one result on standard output, everything else on standard error."""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import typer

from ..errors import InputError
from ..utils import unwritable


def split_names(text: str | None) -> list[str]:
    """`"09, 10"` to `["09", "10"]`."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def base_name(dataset: str) -> str:
    """Last part of the path or Hub name of a dataset: records do not say where it was."""
    return Path(dataset).name


def parse_number(text: str, option: str) -> float:
    """A number that was given as text."""
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{option} {text!r}: is not a number; use 10, for instance") from error


def progress(items: Iterable[Any], total: int, description: str, unit: str) -> Iterable[Any]:
    """The items, behind a progress bar on a terminal when there are several."""
    from tqdm.auto import tqdm

    return tqdm(items, total=total, desc=description, unit=unit, disable=total < 2 or not sys.stderr.isatty())


class SecondsBar:
    """A progress bar over the seconds of one clip, with the time left, on a terminal."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __call__(self, seconds: float, duration: float) -> None:
        """Show that so many of the seconds are done."""
        from tqdm.auto import tqdm

        if self._bar is None:
            shape = "{l_bar}{bar}| {n:.0f} of {total:.0f} s, {remaining} left"
            self._bar = tqdm(total=duration, desc="Timeline", bar_format=shape, disable=not sys.stderr.isatty())
        self._bar.total = max(duration, seconds)
        self._bar.update(seconds - self._bar.n)
        if seconds >= duration:
            self._bar.close()


def quietly(run: Callable[..., dict[str, Any]], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Call a recipe; what libraries print meanwhile goes to standard error, so that the result stands alone."""
    with contextlib.redirect_stdout(sys.stderr):
        return run(*args, **kwargs)


def show_outcome(
    show: Callable[[dict[str, Any]], None], run: Callable[..., dict[str, Any]], *args: Any, **kwargs: Any
) -> None:
    """Call a recipe and show its result, also one that could not be written: nobody wants to compute it again."""
    try:
        result = quietly(run, *args, **kwargs)
    except InputError as error:
        if error.result is not None:
            show(error.result)
        raise
    show(result)


def say(text: str) -> None:
    """Print a line on standard output.

    Raises:
        InputError: it cannot be written, as when it is a file on a full disk.
        BrokenPipeError: nobody reads it any more; the program then ends quietly.
    """
    try:
        typer.echo(text)
    except BrokenPipeError:
        raise
    except OSError as error:
        with contextlib.suppress(OSError):  # else Python would try again when it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise unwritable("standard output", error) from error


def report(result: dict[str, Any], as_json: bool, line: str) -> None:
    """Print the outcome of a command, once however many processes ran it."""
    if os.environ.get("RANK", "0") == "0":
        say(json.dumps(result, ensure_ascii=False) if as_json else line)


def report_reading(summary: dict[str, Any], as_json: bool, out: str) -> None:
    """Print the outcome of reading clips; those that were skipped go to standard error."""
    for failure in summary["failures"]:
        typer.echo(f"skipped {failure.get('clip') or 'row ' + str(failure['row'])}: {failure['error']}", err=True)
    line = f"{out}: {summary['clips']} clips, {summary['seconds'] / 60:.1f} minutes"
    report(summary, as_json, line if summary.get("complete", True) else f"{line}; other processes are still running")


__all__ = [
    "SecondsBar",
    "base_name",
    "parse_number",
    "progress",
    "quietly",
    "report",
    "report_reading",
    "say",
    "show_outcome",
    "split_names",
]
