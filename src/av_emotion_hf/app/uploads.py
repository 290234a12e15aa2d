"""Files that visitors upload and results that they download: in one folder, for as long as they are needed."""

import secrets
import shutil
import threading
import time
from collections.abc import Iterable
from pathlib import Path

GRACE = 120.0  # seconds that a file may be there before anybody asks for it
LONGEST = 3600.0  # seconds that an open page keeps its files


class Uploads:
    """The only folder in which the service reads and writes.

    Each upload and each result has a folder of its own with a name that nobody can guess. It is deleted after the
    request, or when the page that holds it shows the next one or is closed. What is left behind in another way, such
    as by a client that goes away between an upload and its request, is swept up.

    Args:
        folder: of all files; exists and is empty.
    """

    def __init__(self, folder: Path):
        self.folder = folder.resolve()
        self._lock = threading.Lock()
        self._held: dict[str, dict[str, tuple[Path, float]]] = {}  # by session and role

    def new_folder(self) -> Path:
        """A new folder for one upload or result."""
        folder = self.folder / secrets.token_urlsafe(24)
        folder.mkdir()
        return folder

    def owns(self, path: str) -> bool:
        """Whether it is the path of a file in the folder, however it is written."""
        if not path.startswith(str(self.folder)) or "\0" in path:
            return False
        try:
            resolved = Path(path).resolve()
            return resolved.is_relative_to(self.folder) and resolved.is_file()
        except (OSError, RuntimeError):  # a name that is too long, or links in a circle
            return False

    def delete(self, path: str | Path) -> None:
        """Delete a file together with its folder."""
        entry = self._entry(path)
        if entry is not None:
            shutil.rmtree(entry, ignore_errors=True)

    def hold(self, session: str, role: str, path: str | Path | None) -> None:
        """Keep a file for a page; the one that the page has held in this role is deleted.

        Args:
            session: of the page.
            role: what the page shows it as.
            path: of the file, or of its folder; `None` for no file any more.
        """
        entry = None if path is None else self._entry(path)
        with self._lock:
            roles = self._held.setdefault(session, {})
            before = roles.pop(role, None)
            if entry is not None:
                roles[role] = entry, time.monotonic()
            needed = {held for held, _ in roles.values()}
            if not roles:
                del self._held[session]
        if before is not None and before[0] not in needed:
            shutil.rmtree(before[0], ignore_errors=True)

    def release(self, session: str) -> None:
        """Delete what a page has held."""
        with self._lock:
            entries = [entry for entry, _ in self._held.pop(session, {}).values()]
        for entry in entries:
            shutil.rmtree(entry, ignore_errors=True)

    def sweep(self, wanted: Iterable[str], grace: float = GRACE) -> None:
        """Delete what nobody needs any more.

        Args:
            wanted: paths of files that requests wait for.
            grace: seconds; what is younger is kept.
        """
        with self._lock:
            now = time.monotonic()
            for session, roles in list(self._held.items()):
                if all(now - since > LONGEST for _, since in roles.values()):
                    del self._held[session]
            kept = {entry for roles in self._held.values() for entry, _ in roles.values()}
        kept |= {entry for path in wanted if (entry := self._entry(path)) is not None}
        for entry in self.folder.iterdir():
            try:
                age = time.time() - entry.stat().st_mtime
            except FileNotFoundError:
                continue
            if entry in kept or age <= grace:
                continue
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)

    def clear(self) -> None:
        """Delete everything, with the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _entry(self, path: str | Path) -> Path | None:
        """The folder of one upload that holds a path; `None` of a path that is elsewhere."""
        try:
            parts = Path(path).resolve().relative_to(self.folder).parts
        except (ValueError, OSError, RuntimeError):
            return None
        return self.folder / parts[0] if parts else None


__all__ = ["Uploads"]
