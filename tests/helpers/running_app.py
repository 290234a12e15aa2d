"""The app in a process of its own, as a user starts it, which may reach nothing but this machine."""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av_emotion_hf

# imported by every Python process of the app: a connection to another machine is noted, and refused
SITE = """
import socket

LOCAL = ("127.0.0.1", "::1", "localhost", "0.0.0.0", "")

def watched(name):
    call = getattr(socket.socket, name)

    def connect(self, address, *args):
        if self.family in (socket.AF_INET, socket.AF_INET6) and str(address[0]) not in LOCAL:
            with open({log!r}, "a") as file:
                print(address, file=file)
            raise OSError("no network in this test")
        return call(self, address, *args)

    setattr(socket.socket, name, connect)

def getaddrinfo(host, *args, call=socket.getaddrinfo, **kwargs):
    if str(host) not in LOCAL and host is not None:
        with open({log!r}, "a") as file:
            print(host, file=file)
        raise OSError("no network in this test")
    return call(host, *args, **kwargs)

watched("connect"), watched("connect_ex")
socket.getaddrinfo = getaddrinfo
"""
START = 180  # seconds, on a machine that is busy


@dataclass
class RunningApp:
    """An app that answers.

    Attributes:
        url: of its page.
        process: of its server.
        temporary: folder in which it makes its own.
        connections: file with the connections that were tried to other machines.
        errors: file with what it has said.
    """

    url: str
    process: subprocess.Popen
    temporary: Path
    connections: Path
    errors: Path

    def files(self):
        """The files that visitors have on its disk."""
        return [path for path in self.temporary.rglob("files/**/*") if path.is_file()]

    def wait_until_empty(self, seconds=5.0):
        """Wait until there are no files, and fail if that takes too long."""
        end = time.monotonic() + seconds
        while found := self.files():
            assert time.monotonic() < end, found
            time.sleep(0.05)


@contextmanager
def run_app(folder, *options, command=None):
    """Start `av-emotion app` with these options, and end it with SIGTERM.

    Args:
        folder: for its files.
        options: of the command.
        command: another one that prints the address when it is ready.
    """
    temporary, site = folder / "tmp", folder / "site"
    temporary.mkdir()
    site.mkdir()
    connections = folder / "connections"
    (site / "sitecustomize.py").write_text(SITE.format(log=str(connections)))
    paths = [str(site), str(Path(av_emotion_hf.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "TMPDIR": str(temporary),
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
    }
    command = command or [sys.executable, "-m", "av_emotion_hf", "app", "--port", "0", *options]
    errors = folder / "errors"
    with errors.open("wb") as file:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=file, text=True)
    lines: queue.Queue = queue.Queue()
    threading.Thread(target=lambda: lines.put(process.stdout.readline()), daemon=True).start()
    try:
        try:
            url = lines.get(timeout=START).strip()
        except queue.Empty:
            url = ""
        assert url.startswith("http://"), errors.read_text()
        yield RunningApp(url, process, temporary, connections, errors)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
