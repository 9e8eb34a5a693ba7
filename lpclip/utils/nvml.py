"""Free memory of NVIDIA GPUs, read from the driver's library NVML.

CUDA reports free memory only of a device on which the process has a context, which takes hundreds
of megabytes there. PyTorch reads NVML as well, but only with another package installed.
"""

import ctypes
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

LIBRARY = "libnvidia-ml.so.1"


class _Memory(ctypes.Structure):
    """``nvmlMemory_t``, in bytes."""

    _fields_ = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


def free_memory(uuids: Sequence[str]) -> dict[str, int]:
    """Return the free bytes of GPUs and MIG instances by UUID; without those that are unknown."""
    found: dict[str, int] = {}
    # Other makes of GPU have no NVML.
    with suppress(OSError, AttributeError):
        nvml = ctypes.CDLL(LIBRARY)
        if nvml.nvmlInit_v2() == 0:
            try:
                for uuid in uuids:
                    free = _free(nvml, uuid)
                    if free is not None:
                        found[uuid] = free
            finally:
                nvml.nvmlShutdown()
    return found


def _free(nvml: Any, uuid: str) -> int | None:
    handle, memory = ctypes.c_void_p(), _Memory()
    if nvml.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(handle)) != 0:
        return None
    if nvml.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) != 0:
        return None
    return int(memory.free)
