"""Free memory of GPUs, from a small library with the functions of NVML that are used."""

import shutil
import subprocess

import pytest

from lpclip.utils import nvml
from lpclip.utils.nvml import free_memory

SOURCE = """
#include <string.h>

struct memory { unsigned long long total, free, used; };
int ready;

int nvmlInit_v2(void) { ready = START; return START ? 0 : 9; }
int nvmlShutdown(void) { ready = 0; return 0; }

int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
    if (!ready) return 1;
    if (strcmp(uuid, "GPU-a") && strcmp(uuid, "MIG-b")) return 6;
    *device = (void *)(*uuid == 'G' ? 0x7f0000000001 : 0x7f0000000002);
    return 0;
}

int nvmlDeviceGetMemoryInfo(void *device, struct memory *found) {
    if (!ready) return 1;
    found->total = 80000000000;
    found->free = device == (void *)0x7f0000000001 ? 79000000000 : 5000000000;
    found->used = found->total - found->free;
    return 0;
}
"""


@pytest.fixture
def library(tmp_path, monkeypatch):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")

    def build(*, start=1):
        path = tmp_path / "libnvml.so"
        command = [compiler, "-shared", "-fPIC", f"-DSTART={start}", "-xc", "-", "-o", path]
        subprocess.run(command, input=SOURCE.encode(), check=True)
        monkeypatch.setattr(nvml, "LIBRARY", str(path))

    return build


def test_free_memory_is_found_by_uuid(library):
    library()
    found = free_memory(["GPU-a", "MIG-b", "GPU-gone"])
    assert found == {"GPU-a": 79_000_000_000, "MIG-b": 5_000_000_000}


def test_a_library_that_does_not_start_leaves_memory_unknown(library):
    library(start=0)
    assert free_memory(["GPU-a"]) == {}


@pytest.mark.parametrize("name", ["libnot-there.so.1", "libc.so.6"])
def test_without_the_library_memory_is_unknown(monkeypatch, name):
    monkeypatch.setattr(nvml, "LIBRARY", name)
    assert free_memory(["GPU-a"]) == {}
