"""Keep freed memory in the process: an encoder on a CPU allocates as much again at once."""

import ctypes
import sys

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_LARGEST_INT = 2**31 - 1


def keep_freed_memory() -> None:
    """Make glibc's malloc keep freed memory; do nothing with another C library.

    The layers of an encoder allocate tens of megabytes each. By default glibc returns such
    blocks to the system, which clears every page again for the next layer: 8 % of the time of a
    ViT-B-32, 20 % of an RN50's (benchmarks/README.md). The process keeps its peak size.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, _LARGEST_INT)
