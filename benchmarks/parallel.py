"""Parallel map over cases: one single-threaded process per core."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

import torch
from tqdm import tqdm

One = TypeVar("One")
Other = TypeVar("Other")


def in_parallel(
    function: Callable[[One], Other], items: Sequence[One], *, jobs: int | None = None
) -> list[Other]:
    """Apply a function to every item in parallel; return the results in order.

    There are as many processes as cores unless ``jobs`` gives their number.

    Each process has one thread, since more threads than cores would wait for each other.
    """
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"  # read by the processes when they start
    cores = jobs or len(os.sched_getaffinity(0))
    context = get_context("spawn")
    with ProcessPoolExecutor(cores, context, torch.set_num_threads, (1,)) as pool:
        return list(tqdm(pool.map(function, items), total=len(items), unit="cases"))
