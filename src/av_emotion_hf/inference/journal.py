"""The windows of a timeline that are scored already, on disk, so that an interrupted run resumes."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..timeline.table import TimelineRow


class Journal:
    """The rows of the windows that are scored, in a file that grows with each; an interrupted run resumes with it.

    Args:
        path: of the file.
        key: what has to be the same; a file with another key is started again.
    """

    def __init__(self, path: Path, key: str):
        self.path, self.key = path, key
        self.known: list[list[TimelineRow]] = []
        self._file: Any = None

    def __enter__(self) -> "Journal":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else []
        whole = []
        if lines and lines[0] == self.key:
            for line in lines[1:]:
                try:
                    self.known.append([TimelineRow(**row) for row in json.loads(line)])
                except (ValueError, TypeError):  # the line that was being written
                    break
                whole.append(line)
        self._file = open(self.path, "w", encoding="utf-8")  # closed in __exit__
        self._file.writelines(f"{line}\n" for line in [self.key, *whole])
        self._file.flush()
        return self

    def add(self, rows: list[TimelineRow]) -> None:
        """Note the rows of one more window."""
        self._file.write(json.dumps([asdict(row) for row in rows], ensure_ascii=False) + "\n")
        self._file.flush()

    def __exit__(self, kind: type | None, *_: Any) -> None:
        self._file.close()
        if kind is not None and issubclass(kind, InputError):  # the clip is at fault: there is nothing to resume
            self.remove()

    def remove(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)


__all__ = ["Journal"]
