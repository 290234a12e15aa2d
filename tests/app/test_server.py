"""The app as it runs, asked by programs: gradio_client, and raw requests of somebody who means harm."""

import re
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers.damage import base_clips, damaged_clips
from helpers.running_app import run_app
from helpers.synthetic import tone, write_clip

pytest.importorskip("gradio")
import httpx
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

pytestmark = pytest.mark.slow


@pytest.fixture
def client(app, tmp_path):
    client = Client(app.url, verbose=False, download_files=str(tmp_path / "downloads"))
    yield client
    client.close()


def predict(client, path, **options):
    return client.predict(clip=handle_file(str(path)), **options, api_name="/predict")


def test_answers_a_program_with_the_timeline_and_keeps_nothing(app, client, clip):
    found = predict(client, clip, person="largest", abstain=0.3)
    assert found["schema"] == "av-emotion-timeline" and found["clip"] == "face and voice.mp4"
    assert abs(found["duration"] - 3.0) < 0.1
    assert found["settings"]["person"] == "largest" and found["settings"]["abstain"] == 0.3
    assert found["settings"]["detector"] == "mtcnn" and found["model"]["name"] == "av-emotion-base"
    assert [row["person"] for row in found["rows"]] == ["person-1"]
    assert abs(sum(found["rows"][0]["scores"].values()) - 1) < 0.01
    app.wait_until_empty()


def test_the_answer_is_that_of_the_library(client, clip):
    from av_emotion_hf import EmotionPredictor
    from av_emotion_hf.inference.timelines import TimelineMaker

    expected = TimelineMaker(EmotionPredictor("av-emotion-voice-small", "mtcnn"))(str(clip))
    found = predict(client, clip, checkpoint="av-emotion-voice-small")
    assert [row["scores"] for row in found["rows"]] == [row.scores for row in expected.rows]


def test_the_lines_in_the_guide_run_as_pasted(app, clip, capsys, monkeypatch):
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "predicting.md").read_text(encoding="utf-8")
    [lines] = re.findall(r"^```py\n(from gradio_client.*?)^```", guide, flags=re.S | re.M)
    monkeypatch.chdir(clip.parent)
    clip.rename("clip.mp4")
    lines = lines.replace("http://127.0.0.1:7860", app.url)
    exec(lines.replace("Client(", "Client(verbose=False, src="), {})
    assert "'person': 'person-1'" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options, message",
    [
        ({"checkpoint": "/etc"}, "checkpoint '/etc': is not offered; choose av-emotion-base, "),
        ({"checkpoint": "someone/their-model"}, "is not offered"),
        ({"person": "person-7"}, "person 'person-7': is not offered; choose largest, speaking, all"),
        ({"abstain": 2.0}, "abstain=2.0: has to be a probability"),
    ],
)
def test_wrong_options_are_answered_in_a_sentence(app, client, clip, options, message):
    inputs = [
        handle_file(str(clip)),
        *({"checkpoint": "av-emotion-base", "person": "all", "abstain": 0.4} | options).values(),
    ]
    with httpx.Client(base_url=app.url, timeout=60) as raw:
        [path] = raw.post("/gradio_api/upload", files={"files": clip.open("rb")}).json()
        inputs[0] = {"path": path, "meta": {"_type": "gradio.FileData"}}
        assert message in call(raw, inputs)
    app.wait_until_empty()


def call(raw, inputs):
    """What the endpoint says to these inputs, without a client that checks them."""
    event = raw.post("/gradio_api/call/predict", json={"data": inputs}).json()["event_id"]
    return raw.get(f"/gradio_api/call/predict/{event}").text.encode().decode("unicode_escape")


def test_damaged_clips_are_answered_in_sentences_and_leave_nothing(app, client, tmp_path):
    clips = base_clips(tmp_path)
    for number, (_, _, suffix, content) in enumerate(damaged_clips(clips, 30, seed=3)):
        path = tmp_path / f"damaged {number}.{suffix}"
        path.write_bytes(content)
        try:
            assert predict(client, path)["schema_version"] == 1
        except AppError as error:
            assert path.name in str(error) and "\n" not in str(error) and "/" not in str(error)
    app.wait_until_empty()
    assert app.process.poll() is None


@pytest.mark.parametrize("content", [b"", b"no clip\n", b"#EXTM3U\n#\xff\x01\n#EXTINF:1.0,\n/etc/passwd\n"])
def test_what_is_no_clip_is_said(client, tmp_path, content):
    path = tmp_path / "no clip.m3u8"
    path.write_bytes(content)
    with pytest.raises(AppError, match=r"no clip\.m3u8: (is empty|is a text file|names other files)"):
        predict(client, path)


def test_a_clip_that_is_too_long_is_refused(app, client, tmp_path):
    path = write_clip(tmp_path / "long.mp3", sound=tone(130.0, rate=8000), rate=8000, codecs=(None, "mp3"))
    with pytest.raises(AppError, match=r"long\.mp3: lasts 2\.2 minutes, and 2 are the limit here"):
        predict(client, path)
    app.wait_until_empty()


def test_a_file_that_is_too_large_is_refused(app):
    answer = httpx.post(f"{app.url}/gradio_api/upload", files={"files": ("large.mp4", bytes(6_000_000))})
    assert answer.status_code == 413
    assert answer.json() == {
        "detail": "The file is larger than 5 MB, which is the limit here; cut it or compress it more."
    }
    app.wait_until_empty()


def test_many_requests_at_a_time_are_all_answered(app, tmp_path):
    path = write_clip(tmp_path / "short.wav", sound=tone(1.0, rate=16_000), rate=16_000, codecs=(None, "pcm_s16le"))

    def ask(number):
        client = Client(app.url, verbose=False, download_files=str(tmp_path / f"downloads {number}"))
        try:
            return predict(client, path, checkpoint="av-emotion-voice-small")["duration"]
        finally:
            client.close()

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(ask, range(12))) == [1.0] * 12
    app.wait_until_empty()


def test_a_program_that_cancels_frees_the_worker_and_its_files(app, client, long_clip, clip):
    job = client.submit(clip=handle_file(str(long_clip)), api_name="/predict")
    wait_for(lambda: job.status().progress_data, 60)
    begun = time.monotonic()
    job.cancel()
    app.wait_until_empty()
    assert predict(client, clip)["rows"]
    assert time.monotonic() - begun < 30  # a new worker has loaded its model


def test_a_request_that_is_canceled_in_the_queue_leaves_nothing(app, client, long_clip, clip):
    first = client.submit(clip=handle_file(str(long_clip)), api_name="/predict")
    wait_for(lambda: first.status().progress_data, 60)
    second = client.submit(clip=handle_file(str(clip)), api_name="/predict")
    wait_for(lambda: second.status().rank is not None, 10)
    second.cancel()
    first.cancel()
    assert len(app.files()) <= 1  # what was not begun is swept up later: see test_uploads.py


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("path", ["/etc/passwd", "{url}/config", "http://127.0.0.1:9/clip.mp4", "file:///etc/passwd"])
@pytest.mark.parametrize("route", ["call/predict", "queue/join", "run/predict"])
def test_neither_paths_nor_addresses_are_opened(app, route, path):
    file = {"path": path.format(url=app.url), "url": "http://127.0.0.1:9/x", "meta": {"_type": "gradio.FileData"}}
    for number in range(4):  # in each place, and for each function
        body = {"data": [None] * number + [file], "fn_index": number, "session_hash": "s", "event_id": None}
        answer = httpx.post(f"{app.url}/gradio_api/{route}", json=body)
        assert answer.status_code == 403 and "uploaded" in answer.json()["detail"]


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "%2Fetc%2Fpasswd", "http://127.0.0.1:9/", "{tmp}/../errors", "{site}", "..%2F..%2Fetc%2Fpasswd"],
)
def test_no_file_of_the_machine_is_served(app, path):
    path = path.format(tmp=app.temporary, site=app.temporary.parent / "site" / "sitecustomize.py")
    answer = httpx.get(f"{app.url}/gradio_api/file={path}")
    assert answer.status_code in (403, 404) and "root:" not in answer.text


def test_the_queue_cannot_be_passed_by(app, clip):
    with httpx.Client(base_url=app.url) as raw:
        [path] = raw.post("/gradio_api/upload", files={"files": clip.open("rb")}).json()
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        config = raw.get("/config").json()
        numbers = [one["id"] for one in config["dependencies"] if one["queue"] is not False]
        assert numbers
        for number in numbers:
            body = {"data": [file, "av-emotion-base", "all", 0.4], "fn_index": number, "session_hash": "s"}
            assert raw.post("/gradio_api/run/predict", json=body).status_code == 404


def test_it_listens_on_this_machine_alone(app):
    host, port = app.url.removeprefix("http://").split(":")
    assert host == "127.0.0.1"
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        other.bind(("127.0.0.2", int(port)))  # would fail if it listened at 0.0.0.0


def test_a_port_that_is_taken_is_one_sentence(app):
    port = app.url.rsplit(":", 1)[1]
    command = [sys.executable, "-m", "av_emotion_hf", "app", "--port", port]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(f"av-emotion: 127.0.0.1:{port}: nobody can listen there (Address already in use)")
    assert done.stderr.endswith("choose another --port, or 0 for a free one\n") and done.stderr.count("\n") == 1


def test_no_connection_was_made_to_another_machine(app, client, clip):
    predict(client, clip)
    assert not app.connections.exists(), app.connections.read_text()


def test_a_full_queue_and_the_end(tmp_path, long_clip):
    """Of an app with room for one request beside the one that is being answered; then it is ended by a signal."""
    with run_app(tmp_path, "--queue", "1", "--detector", "mtcnn", "--host", "localhost") as app:
        with httpx.Client(base_url=app.url, timeout=60) as raw:
            answers = []
            for _ in range(4):
                [path] = raw.post("/gradio_api/upload", files={"files": long_clip.open("rb")}).json()
                file = {"path": path, "meta": {"_type": "gradio.FileData"}}
                body = {"data": [file, "av-emotion-base", "all", 0.4]}
                answers.append(raw.post("/gradio_api/call/predict", json=body))
                time.sleep(0.5)
        assert [answer.status_code for answer in answers] == [200, 200, 503, 503]
        assert answers[-1].json()["detail"].startswith("Queue is full.")
        assert app.files()
    assert app.process.returncode == 0
    assert not list(app.temporary.iterdir())
    assert "Traceback" not in app.errors.read_text(), app.errors.read_text()
