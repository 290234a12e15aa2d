"""What answers a request, whether it comes from the page or from a program."""

import logging
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, printable
from ..models.persons_av_emotion import PERSONS
from ..timeline.answers import check_abstain
from .limits import Limits
from .live import LiveSessions
from .uploads import Uploads
from .workshop import Job, Offer, Progress, Settings, Workshop, load_models, make_timeline

if TYPE_CHECKING:
    from ..timeline.table import Timeline

logger = logging.getLogger(__name__)
PREFIX = "av_emotion_hf_app_"  # of folders, with the number of the process that they belong to
UNEXPECTED = "something unexpected went wrong; the operator of the service finds the reason in its log"


@dataclass
class Service:
    """The parts of the service: worker processes, files and limits.

    Args:
        limits: of clips and requests.
        settings: of the models.
        checkpoint: folder or Hub name of one to offer beside those of this package.

    Attributes:
        folder: of everything that is written; it is deleted in the end.
        uploads: the files in it.
        workshop: where clips are analyzed.
        live: streams of cameras and microphones.
        offer: what visitors may choose from, once the models are loaded.
    """

    limits: Limits = field(default_factory=Limits)
    settings: Settings = field(default_factory=Settings)
    checkpoint: str | None = None
    offer: Offer = field(init=False)

    def __post_init__(self) -> None:
        _remove_orphans()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}_"))
        files, signs = self.folder / "files", self.folder / "signs"
        files.mkdir()
        signs.mkdir()
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(self.folder))  # where torch makes a folder in workers
        self.uploads = Uploads(files)
        self.workshop = Workshop(self.limits.workers, signs)
        self.live = LiveSessions(self.limits, self.settings, signs)

    async def load(self) -> None:
        """Load the default models in a worker.

        Raises:
            InputError: the checkpoint or a setting cannot be used.
        """
        self.offer = await self.workshop.call(load_models, (self.checkpoint, self.settings), "models")

    async def timeline(
        self, path: str, checkpoint: Any, person: Any, abstain: Any, progress: Progress | None = None
    ) -> "Timeline":
        """The timeline of an uploaded clip.

        Args:
            path: of the upload.
            checkpoint: one of those that visitors may choose.
            person: whose rows are wanted.
            abstain: lowest probability of an emotion that is named.
            progress: called with the seconds done and the duration.

        Raises:
            InputError: the clip or a setting cannot be used; one line that says what to do.
        """
        name = printable(Path(path).name)
        if not self.uploads.owns(path):
            raise InputError(f"{name}: is not there any more; upload it again")
        self._check_offered(checkpoint)
        if person not in PERSONS:
            raise InputError(f"person {person!r}: is not offered; choose {', '.join(PERSONS)}")
        abstain = check_abstain(abstain)
        job = Job(path, name, checkpoint, person, abstain, self.limits, self.settings)
        try:
            return await self.workshop.call(make_timeline, job, name, progress)
        except InputError:
            raise
        except Exception as error:
            logger.exception("a clip could not be analyzed")
            raise InputError(f"{name}: {UNEXPECTED}") from error

    async def start_live(self, checkpoint: str, abstain: str) -> dict[str, Any]:
        """Begin a stream, see [`LiveSessions`].

        Raises:
            InputError: a setting cannot be used, or there are too many streams.
        """
        self._check_offered(checkpoint)
        try:
            probability = check_abstain(float(abstain))
        except ValueError as error:
            raise InputError(f"abstain {abstain!r}: has to be a probability, from 0 to 1") from error
        return await self.live.start(checkpoint, probability)

    def _check_offered(self, checkpoint: Any) -> None:
        if checkpoint not in self.offer.checkpoints:
            raise InputError(f"checkpoint {checkpoint!r}: is not offered; choose {', '.join(self.offer.checkpoints)}")

    def close(self) -> None:
        """End all processes and delete all files."""
        self.workshop.close()
        self.live.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _remove_orphans() -> None:
    """Delete what services have left behind that were killed, or whose machine lost power."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*_*"):
        number = folder.name.removeprefix(PREFIX).partition("_")[0]
        try:
            os.kill(int(number), 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except (ValueError, OSError):  # another user's, or not ours at all
            continue


__all__ = ["Service"]
