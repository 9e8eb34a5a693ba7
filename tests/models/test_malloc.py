"""Memory that is freed and allocated again causes no page faults."""

import ctypes
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from lpclip.models.malloc import keep_freed_memory

def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(2**26, np.uint8)  # freed immediately
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "keep":
    keep_freed_memory()
pages()
print(pages())
"""


def pages_of_the_second_piece(how):
    command = [sys.executable, "-c", PROGRAM, how]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc"
)
def test_a_second_piece_of_memory_is_the_first_one_again():
    assert pages_of_the_second_piece("keep") < 10 < pages_of_the_second_piece("as ever")
