import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub.server import LoopbackHub

import av_emotion_hf as av

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items):
    """Marks what needs a client as slow: this process of its own imports everything once more."""
    for item in items:
        if "client" in item.fixturenames:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def server():
    with LoopbackHub() as hub:
        yield hub


@pytest.fixture
def hub(server):
    """The Hub, empty and in order."""
    server.heal()
    for content in (server.repos, server.large, server.requests):
        content.clear()
    return server


@pytest.fixture(scope="session")
def hub_environment(server, tmp_path_factory):
    """Environment of a process that talks to the tests' Hub as its writer."""
    unwanted = ("HF_HUB_OFFLINE", "HF_ENDPOINT", "HF_TOKEN", "HF_HUB_DISABLE_XET")
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    return kept | {
        "HF_ENDPOINT": server.url,
        "HF_TOKEN": "hf_writer",
        "HF_HOME": str(tmp_path_factory.mktemp("hf-home")),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(av.__file__).parents[1]),
    }


class Client:
    """A process that talks to the tests' Hub."""

    def __init__(self, environment: dict):
        command = [sys.executable, str(HERE / "client.py")]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, code: str) -> dict:
        """Run code there; gives `status`, `out`, `err` and `failure` (a traceback)."""
        self.process.stdin.write(json.dumps(code) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def run(self, code: str) -> str:
        """Run code that has to succeed; gives what it printed."""
        answer = self.ask(code)
        assert answer["status"] == 0, answer["failure"] or answer["err"]
        return answer["out"]

    def verb(self, *words, token: str | None = "hf_writer") -> tuple[int, str, str]:
        """`av-emotion WORDS`: exit status, standard output and standard error."""
        argv = ["av-emotion", *map(str, words)]
        code = (
            f"import os, sys\nos.environ['HF_TOKEN'] = {token or ''!r}\n"
            f"from av_emotion_hf.cli import main\nsys.argv = {argv!r}\n"
            "try:\n    main()\nfinally:\n    os.environ['HF_TOKEN'] = 'hf_writer'\n"
        )
        answer = self.ask(code)
        assert answer["failure"] is None, answer["failure"]
        return answer["status"], answer["out"], answer["err"]


@pytest.fixture(scope="session")
def client(hub_environment):
    client = Client(hub_environment)
    yield client
    client.process.stdin.close()
    client.process.wait()
