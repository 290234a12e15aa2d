import asyncio
import os
import time

import pytest
from helpers import worker_ends

from av_emotion_hf.app import workshop as module
from av_emotion_hf.app.workshop import Workshop
from av_emotion_hf.errors import InputError

pytestmark = pytest.mark.slow


@pytest.fixture
def workshop(tmp_path):
    (tmp_path / "signs").mkdir()
    workshop = Workshop(1, tmp_path / "signs")
    yield workshop
    workshop.close()
    assert not list((tmp_path / "signs").iterdir())


def test_a_worker_answers_and_stays_and_is_replaced_when_it_dies(workshop, tmp_path, monkeypatch):
    async def run():
        shown = []
        result, first = await workshop.call(worker_ends.answer, 21, "a", lambda *numbers: shown.append(numbers))
        assert result == 42
        assert shown[-1] == (3.0, 4.0) and shown == sorted(set(shown))  # each once, in order
        assert (await workshop.call(worker_ends.answer, 1, "b"))[1] == first
        with pytest.raises(InputError, match=r"^c: the process that read it died \(exit status -11\); convert it"):
            await workshop.call(worker_ends.crash, 1, "c")
        with pytest.raises(InputError, match=r"^7: is wrong$"):
            await workshop.call(worker_ends.mistake, 7, "d")
        with pytest.raises(ZeroDivisionError):
            await workshop.call(worker_ends.bug, 1, "e")
        result, other = await workshop.call(worker_ends.answer, 4, "f")
        assert result == 8 and other != first

        monkeypatch.setattr(module, "STALL", 0.5)
        with pytest.raises(InputError, match=r"^g: no progress for 0\.5 seconds"):
            await workshop.call(worker_ends.hang, str(tmp_path / "hanging"), "g")
        monkeypatch.undo()
        await dead(tmp_path / "hanging")

        task = asyncio.create_task(workshop.call(worker_ends.hang, str(tmp_path / "canceled"), "h"))
        while not (tmp_path / "canceled").exists():
            await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await dead(tmp_path / "canceled")
        assert (await workshop.call(worker_ends.answer, 5, "i"))[0] == 10

    asyncio.run(run())


async def dead(path):
    """Wait until the process is gone that has written its number, for two seconds at most."""
    number, end = int(path.read_text()), time.monotonic() + 2
    while os.path.exists(f"/proc/{number}") and b"\0" in open(f"/proc/{number}/cmdline", "rb").read():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


def test_a_workshop_that_is_closed_says_so(tmp_path):
    workshop = Workshop(1, tmp_path)

    async def run():
        task = asyncio.create_task(workshop.call(worker_ends.hang, str(tmp_path / "hanging"), "a"))
        while not (tmp_path / "hanging").exists():
            await asyncio.sleep(0.05)
        await asyncio.to_thread(workshop.close)
        with pytest.raises(InputError, match=r"^a: was stopped$"):
            await task
        with pytest.raises(InputError, match=r"^b: was stopped$"):
            await workshop.call(worker_ends.answer, 1, "b")

    asyncio.run(run())
