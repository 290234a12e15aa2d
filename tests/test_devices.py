import pytest
import torch

from av_emotion_hf import devices
from av_emotion_hf.errors import InputError

GIB = 2**30


@pytest.fixture
def gpus(monkeypatch):
    """Function that pretends to have GPUs, each (fraction busy, free GiB)."""

    def pretend(*loads):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(loads))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(loads))
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda i: (loads[i][1] * GIB, 80 * GIB))
        monkeypatch.setattr(torch.cuda, "utilization", lambda i: 100 * loads[i][0])

    return pretend


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)


def test_the_least_loaded_gpu_with_enough_memory_is_chosen(gpus):
    gpus((0.9, 70), (0.1, 1), (0.2, 40), (0.2, 60))
    choice = devices.choose_device()
    assert choice.device == torch.device("cuda", 3)
    assert choice.reason == "the least loaded of 4 GPU(s), 20% busy, 60.0 GiB free"
    assert devices.choose_device("cuda").device == torch.device("cuda", 1)  # asked for: whatever is free
    assert devices.choose_device("cuda:0").device == torch.device("cuda", 0)
    assert devices.choose_device("cpu").device == torch.device("cpu")


def test_without_a_gpu_that_has_room_the_cpu_is_chosen_and_said(gpus):
    gpus()
    assert "there is no GPU" in str(devices.choose_device()) and devices.choose_device().device.type == "cpu"
    gpus((0.0, 1))
    choice = devices.choose_device()
    assert choice.device.type == "cpu" and "no GPU has 2.0 GiB free" in choice.reason


def test_where_the_driver_does_not_tell_the_memory_in_use_is_the_load(gpus, monkeypatch):
    gpus((0.0, 20), (0.0, 60))

    def refuse(index):
        raise ModuleNotFoundError("pynvml")

    monkeypatch.setattr(torch.cuda, "utilization", refuse)
    assert devices.gpu_load(0) == (0.75, 20 * GIB)
    assert devices.choose_device().device == torch.device("cuda", 1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpu", "device 'gpu' is unknown; choose auto, cpu, cuda, cuda:1 or mps"),
        ("cuda:x", "device 'cuda:x' is unknown"),
        ("cuda:3", r"device 'cuda:3' is not available; this machine has cuda:0, cuda:1; use cpu or auto"),
    ],
)
def test_what_is_not_there_is_named(gpus, name, message):
    gpus((0, 10), (0, 10))
    with pytest.raises(InputError, match=message):
        devices.choose_device(name)


def test_no_gpu_at_all_is_named(gpus):
    gpus()
    with pytest.raises(InputError, match="device 'cuda' is not available; this machine has no GPU that torch can use"):
        devices.choose_device("cuda")


def test_threads(monkeypatch):
    monkeypatch.setattr(devices, "available_cores", lambda: 8)
    monkeypatch.setattr("os.getloadavg", lambda: (3.2, 0, 0), raising=False)
    assert devices.cpu_threads()[0] == 1
    assert devices.cpu_threads(parallel=True)[0] == 5  # the idle ones
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert devices.cpu_threads(parallel=True)[0] == 2
    monkeypatch.setattr("os.getloadavg", lambda: (30.0, 0, 0), raising=False)
    assert devices.cpu_threads(parallel=True)[0] == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    assert devices.cpu_threads() == devices.cpu_threads(parallel=True) == (6, "OMP_NUM_THREADS")


def test_threads_are_limited_for_a_while():
    before = torch.get_num_threads()
    with devices.DeviceChoice(torch.device("cpu"), 3, "a test").limited_threads():
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == before
