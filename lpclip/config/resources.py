"""What the job of each rule asks a scheduler for: memory, time and a GPU.

All follows from the configuration and from the number of images, which the index of a dataset
holds. Nothing of it changes a result, so it is no param of a rule, and re-runs nothing.
"""

import errno
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from lpclip.config import files, shards
from lpclip.config.checked import Checked
from lpclip.config.files import Wildcards
from lpclip.config.job_sizes import JobSize
from lpclip.config.stage_costs import Size, memory_bytes, seconds
from lpclip.errors import LpclipError
from lpclip.methods.registry import trains_on_gpu
from lpclip.storage.hdf5 import open_file
from lpclip.storage.samples import KIND, TABLE
from lpclip.storage.tables import stored_table

# Snakemake itself, twice, which a cluster counts as well; and what the measured sets did not show.
SNAKEMAKE_MB, _MARGIN = 250, 1.2
# Other machines are slower, and file systems wait.
_LEAST_MINUTES, _PATIENCE = 15, 3
# Seconds that training takes on one core from which on it is worth waiting for a GPU.
_WORTH_A_GPU = 600
# Images of a dataset of which nothing is known before it is indexed.
_UNLISTED = 1_000_000


class Needs(NamedTuple):
    """What a job needs."""

    mem_mb: int
    runtime: int  # minutes
    gpu: int  # devices


def needs_of(rule: str, size: Size, *, kind: str = "") -> Needs:
    """Return what a job of a size needs; of training, with a kind of method."""
    memory = _MARGIN * memory_bytes(rule, size, kind=kind) / 1e6 + SNAKEMAKE_MB
    minutes = max(_LEAST_MINUTES, _PATIENCE * seconds(rule, size) / 60)
    return Needs(_rounded(memory, 50), _rounded(minutes, 5), int(size.device))


class _UnknownError(Exception):
    """The number of images of a dataset is not known yet."""


class JobNeeds:
    """The needs of the jobs of one configuration.

    Args:
        config: the configuration.
        index_of: path of the index of a dataset, which a module's prefix or storage may move.
    """

    def __init__(self, config: Checked, *, index_of: Callable[[str], str] = files.index_of) -> None:
        self.config, self._index_of = config, index_of
        self._counted: dict[str, tuple[int, int]] = {}

    def of(
        self, rule: str, wildcards: Wildcards, inputs: Iterable[str | os.PathLike[str]] = ()
    ) -> Needs:
        """Return what a job needs.

        Args:
            rule: its rule.
            wildcards: of the job.
            inputs: files that it reads.

        Raises:
            FileNotFoundError: the number of images is not known before one of the inputs exists.
        """
        try:
            size = self._size(rule, wildcards, unlisted=None)
        except _UnknownError:
            missing = next((str(path) for path in inputs if not Path(path).exists()), None)
            if missing is not None:
                # Snakemake evaluates it again when the job is about to start.
                raise FileNotFoundError(errno.ENOENT, "not made yet", missing) from None
            size = self._size(rule, wildcards, unlisted=_UNLISTED)
        kind = self.config.methods[wildcards["method"]].kind if rule == "train_probe" else ""
        if kind and trains_on_gpu(kind):
            size = replace(size, device=seconds(rule, size) > _WORTH_A_GPU)
        return needs_of(rule, size, kind=kind)

    def _size(self, rule: str, wildcards: Wildcards, *, unlisted: int | None) -> Size:
        def rows(dataset: str) -> int:
            found = self.rows(dataset)
            if found is None and unlisted is None:
                raise _UnknownError
            return found or unlisted or 0

        return JobSize(self.config, rows, wildcards).of(rule)

    def rows(self, dataset: str) -> int | None:
        """Return how many images a dataset has: by its index, else at most; None if unknown."""
        path = Path(self._index_of(dataset))
        try:
            changed = path.stat().st_mtime_ns
            if self._counted.get(dataset, (0, 0))[0] != changed:
                with open_file(path, kind=KIND) as file:
                    self._counted[dataset] = (changed, len(stored_table(file, TABLE)))
        except (OSError, LpclipError):  # none yet, or one that its readers refuse
            return shards.most_rows(self.config, dataset)
        return self._counted[dataset][1]


def _rounded(number: float, step: int) -> int:
    """Return the next multiple of a step.

    >>> _rounded(101, 50)
    150
    """
    return -(-math.ceil(number) // step) * step
