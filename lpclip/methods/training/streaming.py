"""Views that students learn from: in memory, or read from a cache group by group in every pass.

Streamed, a pass shuffles blocks of successive rows, the same for all seeds, holds as many blocks as
the memory budget allows, and every seed shuffles the rows of such a group for itself.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from lpclip.storage.features import ReadRows, open_versions, verify_versions
from lpclip.types import BoolArray, FloatArray, IntArray

# Rows of one view that follow each other and stay together: read from the disk as one.
BLOCK_ROWS = 1024

CPU = torch.device("cpu")


class Views(Protocol):
    """Features that students learn from; rows are numbered through all versions."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Versions, samples, dimension."""

    @property
    def device(self) -> torch.device:
        """Where ``groups`` and ``in_order`` put what they give."""

    def groups(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """In pass ``number``: samples ``[n]`` and features ``[n, D]`` to shuffle and learn from."""

    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The same of all rows, in the order in which they are stored."""


@dataclass(frozen=True)
class InMemory:
    """Views ``[V, N, D]``: one group, which a seed shuffles as a whole."""

    views: Tensor

    @property
    def shape(self) -> tuple[int, int, int]:
        """Versions, samples, dimension."""
        n_views, n_samples, dim = self.views.shape
        return n_views, n_samples, dim

    @property
    def device(self) -> torch.device:
        """Where the views are."""
        return self.views.device

    def groups(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:  # noqa: ARG002
        """The same group in every pass."""
        n_views, n_samples, _ = self.shape
        yield torch.arange(n_samples, device=self.device).repeat(n_views), self.views.flatten(0, 1)

    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Version by version."""
        samples = torch.arange(self.shape[1], device=self.device)
        return ((samples, view) for view in self.views)


@dataclass(frozen=True)
class Streamed:
    """Views that are read again in every pass.

    Attributes:
        open: opens what they are read from.
        versions: how many.
        samples: of which samples, ascending; all seeds see the same.
        dim: dimension of the features.
        group_rows: rows that are held at once, not less than a block.
        device: where they are learned from.
    """

    open: Callable[[], AbstractContextManager[ReadRows]]
    versions: int
    samples: IntArray = field(repr=False)
    dim: int
    group_rows: int
    device: torch.device = CPU

    @property
    def shape(self) -> tuple[int, int, int]:
        """Versions, samples, dimension."""
        return self.versions, len(self.samples), self.dim

    @property
    def nbytes(self) -> int:
        """Bytes that are held at once, float32."""
        return 4 * self.dim * self.group_rows

    def of(self, chosen: BoolArray) -> "Streamed":
        """Those of some of the samples."""
        return replace(self, samples=self.samples[chosen])

    def groups(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Blocks in the order of this pass, as many as fit; what is given is overwritten next."""
        blocks = self._blocks()
        order = np.random.default_rng(number).permutation(len(blocks))
        together = max(1, self.group_rows // BLOCK_ROWS)
        held = np.empty((min(together, len(blocks)) * BLOCK_ROWS, self.dim), dtype=np.float32)
        with self.open() as read:
            for first in range(0, len(blocks), together):
                samples, n = list[IntArray](), 0
                for place in order[first : first + together]:
                    version, rows = blocks[place]
                    samples.append(np.arange(rows.start, rows.stop))
                    held[n : n + len(samples[-1])] = self._read(read, version, rows)
                    n += len(samples[-1])
                yield self._tensor(np.concatenate(samples)), self._tensor(held[:n])

    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Block by block."""
        with self.open() as read:
            for version, rows in self._blocks():
                samples = np.arange(rows.start, rows.stop)
                yield self._tensor(samples), self._tensor(self._read(read, version, rows))

    def _blocks(self) -> list[tuple[int, slice]]:
        n = len(self.samples)
        return [
            (version, slice(start, min(start + BLOCK_ROWS, n)))
            for version in range(self.versions)
            for start in range(0, n, BLOCK_ROWS)
        ]

    def _read(self, read: ReadRows, version: int, rows: slice) -> FloatArray:
        """Rows of the chosen samples, which may lie apart in the file."""
        stored = self.samples[rows]
        found = read(version, slice(int(stored[0]), int(stored[-1]) + 1))
        return found if len(found) == len(stored) else found[stored - stored[0]]

    def _tensor(self, values: FloatArray | IntArray) -> Tensor:
        return torch.from_numpy(values).to(self.device)


def views_on(device: torch.device, views: FloatArray | Streamed) -> Tensor | Streamed:
    """Return views for students on a device."""
    if isinstance(views, Streamed):
        return replace(views, device=device)
    return torch.from_numpy(views).to(device)


def stream_cache(
    path: Path,
    versions: Sequence[tuple[str, int]],
    *,
    expected: Mapping[str, Any],
    memory_gb: float,
) -> Streamed:
    """Views of a feature cache, whose checksums are verified here: one pass before many.

    Args:
        path: the cache.
        versions: view and version of each; version 0 of a view that has none.
        expected: provenance that the cache must have.
        memory_gb: memory that the features of a group may take, in gigabytes of 1e9 bytes.

    Raises:
        LpclipError: a view is damaged.
    """
    n_samples, dim = verify_versions(path, versions)
    return Streamed(
        partial(open_versions, path, versions, expected=expected),
        len(versions),
        np.arange(n_samples),
        dim,
        int(memory_gb * 1e9 / (4 * dim)),
    )
