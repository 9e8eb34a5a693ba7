"""The device that a process computes on: one of the visible GPUs, or the CPU."""

import os
import time

import torch

from lpclip.errors import LpclipError
from lpclip.utils.gpu_lease import Gpu, Lease, lease
from lpclip.utils.nvml import free_memory

# Of a GPU with too little free memory: how long the memory of a process that has just ended, or
# been killed, may take to be freed.
WAIT_SECONDS = 10.0
_PAUSE_SECONDS = 0.5
# Bytes that CUDA and its libraries take on a device before the first tensor.
CONTEXT_BYTES = 600_000_000

_to_the_end: list[Lease] = []


def device_named(name: str, *, what: str) -> torch.device:
    """Return the device of a name, as far as it can be without choosing one of several GPUs.

    Args:
        name: ``auto``, a GPU if there is one; or a device name of torch. ``cuda`` stays without a
            number.
        what: subject of the error.

    Raises:
        LpclipError: it cannot be used.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise _unusable(name, what, error) from error
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) < n_gpus:
        return device
    return _tried(device, what)


def occupy(
    device: torch.device, *, needed: int, wanted: int = 0, what: str, remedy: str
) -> tuple[torch.device, Lease | None]:
    """Choose a GPU for this process and lease it; any other device is returned as it is.

    The device is this thread's current one from then on, and no other has a CUDA context. It is
    leased as long as the lease is referred to (``lpclip.utils.gpu_lease``).

    Args:
        device: from ``device_named``: ``cuda`` for any visible GPU, ``cuda:1`` for that one.
        needed: bytes of memory, in addition to CUDA's own, without which nothing fits.
        wanted: bytes with which all goes well; a GPU with less is a last resort.
        what: subject of the error.
        remedy: its last words, what else to do.

    Raises:
        LpclipError: no GPU has the memory; names each with what is free.
    """
    if device.type != "cuda":
        return device, None
    needed, wanted = needed + CONTEXT_BYTES, wanted + CONTEXT_BYTES
    held = lease(_with_memory(device.index, needed, what, remedy), wanted=wanted)
    chosen = torch.device("cuda", held.gpu.index)
    torch.cuda.set_device(chosen)
    _tried(chosen, what)
    if held.gpu.free is None:
        # Only CUDA can tell, on a device that it has been started on.
        free = torch.cuda.mem_get_info(chosen)[0]
        if free < needed - CONTEXT_BYTES:
            found = Gpu(held.gpu.index, held.gpu.uuid, free)
            raise _too_small([found], needed, what, remedy)
    return chosen, held


def training_device(n_bytes: int) -> torch.device:
    """Return the device that probes are trained on: a GPU if there is one.

    The process leases it to its end, so that all rounds use the same.

    Args:
        n_bytes: what the training keeps on the device.

    Raises:
        LpclipError: as ``occupy``.
    """
    what, remedy = "Training", "train on the CPU: set CUDA_VISIBLE_DEVICES to -1"
    device = device_named("auto", what=what)
    device, held = occupy(device, needed=n_bytes, what=what, remedy=remedy)
    if held is not None and held not in _to_the_end:
        _to_the_end.append(held)
    return device


def visible_gpus() -> list[Gpu]:
    """List the GPUs that CUDA shows this process, without starting CUDA on any of them.

    CUDA itself goes by CUDA_VISIBLE_DEVICES and its order of devices; of several MIG instances it
    shows a process the first alone.
    """
    uuids = [
        str(torch.cuda.get_device_properties(index).uuid)
        for index in range(torch.cuda.device_count())
    ]
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
    if named.startswith("MIG-") and len(uuids) == 1:
        uuids = [named]  # CUDA may give the UUID of the whole device
    uuids = [uuid if uuid.startswith("MIG-") else f"GPU-{uuid}" for uuid in uuids]
    free = free_memory(uuids)
    return [Gpu(index, uuid, free.get(uuid)) for index, uuid in enumerate(uuids)]


def _with_memory(index: int | None, needed: int, what: str, remedy: str) -> list[Gpu]:
    end = time.monotonic() + WAIT_SECONDS
    while True:
        gpus = [gpu for gpu in visible_gpus() if index in (None, gpu.index)]
        enough = [gpu for gpu in gpus if gpu.free is None or gpu.free >= needed]
        if enough:
            return enough
        if time.monotonic() >= end:
            raise _too_small(gpus, needed, what, remedy)
        time.sleep(_PAUSE_SECONDS)


def _too_small(gpus: list[Gpu], needed: int, what: str, remedy: str) -> LpclipError:
    free = ", ".join(f"cuda:{gpu.index} {(gpu.free or 0) / 1e9:.1f} GB" for gpu in gpus)
    return LpclipError(
        f"{what} needs {needed / 1e9:.1f} GB of a GPU's memory, but free is: {free}. "
        f"End other programs there (nvidia-smi lists them), or {remedy}."
    )


def _tried(device: torch.device, what: str) -> torch.device:
    try:
        torch.empty(0, device=device)
    except Exception as error:  # torch raises several types
        raise _unusable(str(device), what, error) from error
    return device


def _unusable(name: str, what: str, error: Exception) -> LpclipError:
    reason = " ".join(str(error).split())[:120]
    return LpclipError(
        f"{what}: the device '{name}' cannot be used ({reason}). Set device: "
        "auto, cpu, or one that torch names."
    )
