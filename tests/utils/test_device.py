"""Choice of a device, with pretend GPUs in place of CUDA's."""

import os
from types import SimpleNamespace

import pytest
import torch

from lpclip.errors import LpclipError
from lpclip.utils import device, gpu_lease
from lpclip.utils.device import CONTEXT_BYTES, device_named, occupy, training_device, visible_gpus

GB = 1_000_000_000


class Cuda:
    """Two GPUs, and two MIG instances of a third; CUDA_VISIBLE_DEVICES limits which are visible."""

    def __init__(self, monkeypatch):
        self.free = {"GPU-a": 40 * GB, "GPU-b": 70 * GB, "MIG-c": 20 * GB, "MIG-d": 20 * GB}
        self.nvml = True
        self.started = []
        for name in ("device_count", "get_device_properties", "mem_get_info", "set_device"):
            monkeypatch.setattr(torch.cuda, name, getattr(self, name))
        monkeypatch.setattr(torch.cuda, "is_available", lambda: self.device_count() > 0)
        monkeypatch.setattr(device, "free_memory", self.free_memory)
        empty = torch.empty
        monkeypatch.setattr(torch, "empty", lambda *size, **more: self.empty(empty, *size, **more))

    @property
    def visible(self):
        whole = ["GPU-a", "GPU-b"]
        found = []
        for name in os.environ.get("CUDA_VISIBLE_DEVICES", "0,1").split(","):
            if name.isdigit() and int(name) < len(whole):
                found.append(whole[int(name)])
            elif name in self.free:
                found.append(name)
            else:
                break
        return found[:1] if found and found[0].startswith("MIG-") else found

    def device_count(self):
        return len(self.visible)

    def get_device_properties(self, index):
        # Without a prefix, and the whole device's for a MIG instance.
        name = self.visible[index]
        return SimpleNamespace(uuid=name.removeprefix("GPU-") if name.startswith("GPU-") else "cd")

    def free_memory(self, uuids):
        return {uuid: self.free[uuid] for uuid in uuids} if self.nvml else {}

    def mem_get_info(self, place):
        self.start(place)
        return self.free[self.visible[place.index]], 80 * GB

    def set_device(self, place):
        self.start(place)

    def empty(self, real, *size, device, **more):
        if torch.device(device).type == "cuda" and self.device_count():
            self.start(torch.device(device))
            device = "meta"
        return real(*size, device=device, **more)

    def start(self, place):
        assert place.index is not None, "CUDA would start on the first device"
        self.started.append(self.visible[place.index])


@pytest.fixture(autouse=True)
def _settings(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu_lease, "FILE", tmp_path / "gpus.lock")
    monkeypatch.setattr(gpu_lease, "_opened", None)
    monkeypatch.setattr(device, "WAIT_SECONDS", 0.0)
    monkeypatch.setattr(device, "_to_the_end", [])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def cuda(monkeypatch):
    return Cuda(monkeypatch)


def chosen(name, *, needed=0, wanted=0):
    named = device_named(name, what="Model 'm'")
    return occupy(named, needed=needed, wanted=wanted, what="Model 'm'", remedy="set device: cpu")


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_cuda_starts_on_the_chosen_gpu_alone(cuda, name):
    place, held = chosen(name)
    assert str(place) == "cuda:1"  # which has the most free memory
    assert held.gpu.uuid == "GPU-b"
    assert set(cuda.started) == {"GPU-b"}


def test_a_numbered_gpu_is_the_one_of_that_number(cuda):
    place, held = chosen("cuda:0")
    assert (str(place), held.gpu.uuid, set(cuda.started)) == ("cuda:0", "GPU-a", {"GPU-a"})


def test_a_cpu_is_not_leased(cuda):
    assert chosen("cpu") == (torch.device("cpu"), None)
    assert cuda.started == []
    assert not gpu_lease.FILE.exists()


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("0,1", ["GPU-a", "GPU-b"]),
        ("1,0", ["GPU-b", "GPU-a"]),
        ("1", ["GPU-b"]),
        ("GPU-b", ["GPU-b"]),
        ("GPU-b,GPU-a", ["GPU-b", "GPU-a"]),
        ("MIG-d,MIG-c", ["MIG-d"]),
        ("MIG-c", ["MIG-c"]),
        ("", []),
        ("-1", []),
    ],
)
def test_the_gpus_that_a_scheduler_gave_are_the_only_candidates(
    cuda, monkeypatch, variable, expected
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert [(gpu.index, gpu.uuid) for gpu in visible_gpus()] == list(enumerate(expected))
    assert [gpu.free for gpu in visible_gpus()] == [cuda.free[uuid] for uuid in expected]
    place, held = chosen("auto")
    assert place.type == ("cuda" if expected else "cpu")
    assert (held is not None) == bool(expected)
    assert set(cuda.started) <= set(expected)


def test_a_gpu_without_the_memory_is_no_candidate(cuda):
    cuda.free["GPU-b"] = 2 * GB
    assert chosen("cuda", needed=3 * GB)[1].gpu.uuid == "GPU-a"


def test_a_gpu_with_less_than_is_wanted_will_do(cuda):
    assert chosen("cuda", needed=3 * GB, wanted=90 * GB)[1].gpu.uuid == "GPU-b"
    cuda.free |= {"GPU-a": 5 * GB, "GPU-b": 4 * GB}
    assert chosen("cuda:0", needed=3 * GB, wanted=90 * GB)[1].gpu.uuid == "GPU-a"


def test_where_no_gpu_has_the_memory_each_is_named_before_cuda_starts(cuda):
    cuda.free |= {"GPU-a": 3 * GB, "GPU-b": GB // 2}
    with pytest.raises(LpclipError) as found:
        chosen("auto", needed=3 * GB)
    assert str(found.value) == (
        "Model 'm' needs 3.6 GB of a GPU's memory, but free is: cuda:0 3.0 GB, cuda:1 0.5 GB. "
        "End other programs there (nvidia-smi lists them), or set device: cpu."
    )
    with pytest.raises(LpclipError, match=r"but free is: cuda:1 0\.5 GB\. End"):
        chosen("cuda:1", needed=3 * GB)
    assert cuda.started == []
    assert chosen("cuda:0", needed=3 * GB - CONTEXT_BYTES)[1].gpu.uuid == "GPU-a"


def test_memory_that_a_killed_process_has_yet_to_free_is_waited_for(cuda, monkeypatch):
    cuda.free |= {"GPU-a": 0, "GPU-b": 0}
    monkeypatch.setattr(device, "WAIT_SECONDS", 60.0)
    monkeypatch.setattr(device.time, "sleep", lambda _: cuda.free.update({"GPU-a": 9 * GB}))
    assert chosen("cuda", needed=3 * GB)[1].gpu.uuid == "GPU-a"


def test_without_nvml_the_memory_of_the_chosen_gpu_is_checked(cuda):
    cuda.nvml = False
    assert [gpu.free for gpu in visible_gpus()] == [None, None]
    assert chosen("cuda", needed=3 * GB)[1].gpu.uuid == "GPU-a"
    assert set(cuda.started) == {"GPU-a"}
    cuda.free["GPU-b"] = GB
    with pytest.raises(LpclipError, match=r"needs 3\.6 GB .* but free is: cuda:1 1\.0 GB"):
        chosen("cuda:1", needed=3 * GB)


@pytest.mark.usefixtures("cuda")
def test_a_device_that_cannot_be_used_is_a_sentence(monkeypatch):
    for name in ("gpu", "cuda:x", "mps"):
        with pytest.raises(LpclipError, match=f"Model 'm': the device '{name}' cannot be used"):
            chosen(name)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    for name in ("cuda", "cuda:1"):
        with pytest.raises(LpclipError, match=f"Model 'm': the device '{name}' cannot be used"):
            chosen(name)


def test_all_trainings_of_a_process_have_one_gpu(cuda):
    first = training_device(GB)
    cuda.free |= {"GPU-a": 60 * GB, "GPU-b": 30 * GB}
    assert str(first) == str(training_device(GB)) == "cuda:1"


def test_a_training_without_room_names_a_way_out(cuda):
    with pytest.raises(LpclipError, match=r"^Training needs 90\.6 GB .* CUDA_VISIBLE_DEVICES"):
        training_device(90 * GB)
    assert cuda.started == []


@pytest.mark.usefixtures("cuda")
def test_without_a_gpu_training_runs_on_the_cpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert str(training_device(GB)) == "cpu"
