"""Small helpers of many modules: files that are written whole or not at all, lazy names, label maps, error reasons."""

import errno
import importlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import InputError

# by the reason why a file could not be written, what helps; each is about a disk, whatever was being done
REMEDIES = {
    getattr(errno, name): remedy
    for name, remedy in {
        "ENOSPC": "free some space or choose another disk",
        "EDQUOT": "free some of your quota or choose another disk",
        "EFBIG": "raise the limit on the size of files (ulimit -f) or choose another disk",
        "EROFS": "choose a folder that is not read-only",
        "EIO": "check the disk",
    }.items()
    if hasattr(errno, name)  # Windows has no quota
}
# what torch.save says of a file that it could not write; it does not tell why
TORN = ("inline_container", "PytorchStreamWriter", "iostream error")


def lazy_names(package: str, homes: dict[str, tuple[str, ...]]) -> tuple[Callable, Callable, list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package whose names are imported when first used.

    Args:
        package: its `__name__`.
        homes: by module, relative to the package, the names that it exports.
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def __getattr__(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f".{home_of[name]}", package), name)

    names = sorted(home_of)
    return __getattr__, lambda: names, names


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it at the end, so that a file is complete or absent.

    The folder is created if it does not exist. After an error nothing is left behind, and an error of the operating
    system names `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(partial)):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        partial.unlink(missing_ok=True)


def require_writable(path: str | Path, is_folder: bool = False) -> None:
    """Check that a file or folder can be written, before the work of which it is the outcome. Nothing is left behind.

    Args:
        path: of a new file or folder, or of one that exists: a file is replaced, in a folder files are added. Folders
            above it that do not exist can be created.
        is_folder: whether a folder is meant, not a file.

    Raises:
        InputError: it exists and is of the other kind or a device, something above it is not a folder, a name is too
            long, the folder or disk is read-only, or the disk is full.
    """
    text, wanted = os.fspath(path), "folder" if is_folder else "file"
    if not text or "\0" in text:
        raise InputError(f"{text!r}: is not the name of a {wanted}; choose another --out")
    if not is_folder and text.endswith(("/", os.sep)):
        raise InputError(f"{text}: is the name of a folder; choose a file for --out")
    if os.path.isdir(text) and not is_folder:
        raise InputError(f"{text}: is a folder; choose a file for --out")
    if os.path.isfile(text) and is_folder:
        raise InputError(f"{text}: is a file; choose a folder for --out")
    if os.path.exists(text) and not (os.path.isfile(text) or os.path.isdir(text)):
        raise InputError(f"{text}: is a device, not a {wanted} that can be written; choose another --out")
    nearest = target = Path(path)
    while not os.path.isdir(nearest) and nearest != nearest.parent:
        if os.path.lexists(nearest) and (is_folder or nearest != target):
            raise InputError(
                f"{text}: cannot be written ({nearest} is not a folder); choose another --out or remove that first"
            )
        nearest = nearest.parent
    try:
        for name in (target, *(nearest / part for part in target.relative_to(nearest).parts)):
            with suppress(FileNotFoundError):
                os.lstat(name)  # a name that is too long
        handle, probe = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".partial", dir=nearest)
        try:
            os.write(handle, b"x")  # a full disk has room for the name of a file, but not for the file
        finally:
            os.close(handle)
            os.unlink(probe)
    except OSError as error:
        raise unwritable(text, error) from error


def is_leftover(path: Path) -> bool:
    """Whether a file is one that [`atomic_write`] or [`require_writable`] has not finished."""
    return path.name.startswith(".") and path.name.endswith(".partial")


def unwritable(path: str | Path, error: BaseException, then: str = "", result: Any = None) -> InputError:
    """The [`InputError`] for a file or folder that could not be written.

    Args:
        path: of it.
        error: what happened.
        then: added to the remedy.
        result: what was to be written, see [`InputError`].
    """
    why, remedy = disk_failure(error) or (reason(error), "choose another --out")
    return InputError(f"{path}: cannot be written ({why}); {remedy}{then}", result)


@contextmanager
def writing(path: str | Path, then: str = "", result: Any = None, only_disk: bool = False) -> Iterator[None]:
    """Make what goes wrong while `path` is written the [`InputError`] of [`unwritable`].

    Args:
        path: of the file or folder.
        then: added to the remedy.
        result: what is to be written.
        only_disk: whether other files are read meanwhile, or the network is, so that not every [`OSError`] is one of
            writing.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if disk_failure(error) is None and (only_disk or not isinstance(error, OSError)):
            raise
        raise unwritable(path, error, then, result) from error


def disk_failure(error: BaseException) -> tuple[str, str] | None:
    """Why a file could not be written, and the remedy; `None` if `error` has another cause.

    Libraries wrap the error of the operating system, or keep only its text; so its causes are looked at too.
    """
    torn = False
    following: BaseException | None = error
    while following is not None:
        found = re.search(r"\((?:os )?error (\d+)\)|^\[Errno (\d+)\]", str(following))
        number: int | None = getattr(following, "errno", None) or (int(found[1] or found[2]) if found else None)
        if number is not None and number in REMEDIES:
            return os.strerror(number), REMEDIES[number]
        if isinstance(following, OSError) and str(following).startswith("Not enough disk space"):  # of datasets
            return reason(following).rstrip("."), REMEDIES[errno.ENOSPC]
        torn = torn or (isinstance(following, RuntimeError) and any(text in str(following) for text in TORN))
        following = following.__cause__
    return ("torch could not write all of it", REMEDIES[errno.ENOSPC]) if torn else None


def write_text(path: str | Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: Any) -> None:
    """Write a JSON file whole or not at all."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def label_maps(labels: list[str]) -> dict[str, Any]:
    """The fields `id2label` and `label2id` of a configuration, from the class names in order."""
    return {"id2label": dict(enumerate(labels)), "label2id": {name: i for i, name in enumerate(labels)}}


def reason(error: BaseException) -> str:
    """Why something failed, in one line: the message of the operating system, or the first line of the error's."""
    text = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return text.splitlines()[0]


__all__ = [
    "atomic_write",
    "disk_failure",
    "is_leftover",
    "label_maps",
    "lazy_names",
    "read_json",
    "reason",
    "require_writable",
    "unwritable",
    "write_json",
    "write_text",
    "writing",
]
