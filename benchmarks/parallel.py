"""The same function on many cases, one process with one thread per core."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

import torch
from tqdm import tqdm

One = TypeVar("One")
Other = TypeVar("Other")


def in_parallel(function: Callable[[One], Other], items: Sequence[One]) -> list[Other]:
    """Results in the order of the items.

    Threads of one process would wait for those of the others, so each has one.
    """
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"  # read by the processes when they start
    cores = len(os.sched_getaffinity(0))
    context = get_context("spawn")
    with ProcessPoolExecutor(cores, context, torch.set_num_threads, (1,)) as pool:
        return list(tqdm(pool.map(function, items), total=len(items), unit="cases"))
