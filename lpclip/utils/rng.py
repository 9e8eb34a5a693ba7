"""Random numbers that depend on (seed, sample id, view) alone.

`sample_key` hashes the three into 64 bits. `Stream` turns a batch of keys into random numbers with
a counter-based generator: number j of sample i is a function of (key i, name of the stream, j)
alone, so batches, order, workers and interruptions cannot change it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from lpclip.types import FloatArray

# splitmix64 (Steele, Lea, Flood 2014), constants as signed 64-bit integers.
_INCREMENT = 0x9E3779B97F4A7C15 - 2**64
_MULTIPLIER_1 = 0xBF58476D1CE4E5B9 - 2**64
_MULTIPLIER_2 = 0x94D049BB133111EB - 2**64
_LOW_24 = 2**24 - 1


def sample_key(seed: int, sample_id: str, view: str) -> int:
    """Return the 64-bit key of everything random about one view of one sample.

    >>> sample_key(0, "digit-0001", "weak") == sample_key(0, "digit-0001", "weak")
    True
    >>> sample_key(0, "digit-0001", "weak") == sample_key(0, "digit-0001", "strong")
    False
    """
    return _hash(f"{seed}\0{sample_id}\0{view}")


def keys(seed: int, ids: Sequence[str], view: str) -> Tensor:
    """Return the keys of one view of many samples: int64 [B], the bits of `sample_key`.

    >>> keys(0, ["a", "b"], "weak").shape
    torch.Size([2])
    """
    import torch  # imported here, so that stages without images start without torch

    values = [_signed(sample_key(seed, sample_id, view)) for sample_id in ids]
    return torch.tensor(values, dtype=torch.int64)


@dataclass(frozen=True)
class Stream:
    """Independent random numbers for every sample of a batch.

    Every method starts at the beginning of the stream, so two calls return the same numbers.
    Sample independent quantities from named sub-streams:

    >>> stream = Stream(keys(0, ["a", "b"], "weak"))
    >>> stream["shift"].uniform(2).shape
    torch.Size([2, 2])
    >>> bool((stream["shift"].uniform(2) == stream["angle"].uniform(2)).any())
    False
    """

    keys: Tensor

    def __getitem__(self, name: str | int) -> Stream:
        """The sub-stream of this name."""
        return Stream(_mix(self.keys ^ _name_key(str(name))))

    def select(self, rows: Tensor) -> Stream:
        """The streams of some samples; `rows` is an index or a mask."""
        return Stream(self.keys[rows])

    def words(self, count: int) -> Tensor:
        """Random 64-bit words: int64 [B, count]."""
        import torch

        counters = torch.arange(1, count + 1, dtype=torch.int64, device=self.keys.device)
        return _mix(self.keys[:, None] + counters * _INCREMENT)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform numbers: float32 [B, *shape] in [low, high), in steps of (high - low) / 2^24.

        Without a shape: one number per sample, [B].
        """
        import torch

        size = prod(shape)
        numbers = torch.cat(self._halves(size), dim=1).float().mul_(2.0**-24)[:, :size]
        if (low, high) != (0.0, 1.0):
            # The product may round up to `high`, which does no harm to a cosine or a shift.
            numbers = numbers * (high - low) + low
        return numbers.reshape(len(self.keys), *shape)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers: float32 [B, *shape] (Box-Muller; at most 5.9 in size)."""
        import torch

        size = prod(shape)
        high, low = self._halves(size)
        # The half step avoids log(0).
        radius = high.float().add_(0.5).mul_(2.0**-24).log_().mul_(-2.0).sqrt_()
        angle = low.float().mul_(2.0 * torch.pi * 2.0**-24)
        pair = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)
        return pair[:, :size].reshape(len(self.keys), *shape)

    def integers(self, *shape: int, low: int = 0, high: int) -> Tensor:
        """Whole numbers: int64 [B, *shape] in low..high-1.

        Values differ in probability by less than (high - low) / 2^24.
        """
        bits = self.words(prod(shape)).bitwise_and_(_LOW_24)
        return (bits * (high - low) >> 24).add_(low).reshape(len(self.keys), *shape)

    def flat_dirichlet(self, *shape: int) -> Tensor:
        """Points of a simplex, all equally likely: float32 [B, *shape], last axis sums to 1.

        Dirichlet(1, ..., 1), from exponential numbers divided by their sum.
        """
        exponentials = -(1.0 - self.uniform(*shape)).double().log()
        return (exponentials / exponentials.sum(dim=-1, keepdim=True)).float()

    def pick(self, table: AliasTable, rows: Tensor) -> Tensor:
        """Sample from a table of distributions: int64, shaped like `rows`.

        Args:
            table: R distributions over 0..K-1.
            rows: int64 [B, ...], which of the R distributions each number comes from.
        """
        words = self.words(rows[0].numel())
        outcome = ((words >> 40).bitwise_and_(_LOW_24).mul_(table.size)).bitwise_right_shift_(24)
        cell = (rows.reshape(words.shape) * table.size).add_(outcome)
        packed = table.packed.index_select(0, cell.flatten()).reshape(words.shape)
        alias = packed & _LOW_24
        # All ones where the outcome is kept, else zero: cheaper than a Boolean mask.
        keep = (words.bitwise_and_(_LOW_24) - (packed >> 24)) >> 63
        chosen = alias.bitwise_xor_(outcome.bitwise_xor_(alias).bitwise_and_(keep))
        return chosen.reshape(rows.shape)

    def _halves(self, size: int) -> tuple[Tensor, Tensor]:
        """Split each word into two independent 24-bit numbers: int64 [B, ceil(size / 2)] each."""
        words = self.words((size + 1) // 2)
        return (words >> 40).bitwise_and_(_LOW_24), words.bitwise_and_(_LOW_24)


@dataclass(frozen=True)
class AliasTable:
    """R distributions over K outcomes, prepared for `Stream.pick` (Walker's alias method).

    Outcome k of row r is kept if a 24-bit number is below a threshold; else it becomes the row's
    alias of k. Probabilities are exact up to 2^-24 / K.
    """

    packed: Tensor  # int64 [R * K], threshold << 24 | alias
    size: int  # K

    def to(self, device: torch.device) -> AliasTable:
        """Return the table on another device."""
        return AliasTable(self.packed.to(device), self.size)


def poisson_table(rates: Sequence[float]) -> AliasTable:
    """Poisson distributions with the given rates, one row each.

    Outcomes go up to rate + 12 sqrt(rate) + 25 of the largest; the rest are less likely than 1e-15.
    """
    import numpy as np
    from scipy.stats import poisson

    largest = max(rates)
    size = int(largest + 12 * largest**0.5 + 25)
    return alias_table(poisson.pmf(np.arange(size)[None, :], np.asarray(rates)[:, None]))


def alias_table(probabilities: FloatArray) -> AliasTable:
    """Prepare distributions, [R, K] with rows that sum to 1, for `Stream.pick` (Vose 1991)."""
    import numpy as np
    import torch

    mass = np.array(probabilities, dtype=np.float64)
    n_rows, size = mass.shape
    mass *= size / mass.sum(axis=1, keepdims=True)
    # Every row sweeps its cells once, those below the mean first; all rows take a step together.
    # `giver` is the cell above the mean that fills the others up, `rest` what it has left.
    order = np.argsort(mass >= 1.0, axis=1, kind="stable")
    n_small = (mass < 1.0).sum(axis=1)
    threshold = np.ones_like(mass)
    alias = np.tile(np.arange(size), (n_rows, 1))
    rows = np.arange(n_rows)
    taker, giver = np.zeros(n_rows, dtype=np.int64), n_small.copy()
    rest = mass[rows, order[rows, np.minimum(giver, size - 1)]]
    for _ in range(size):
        spent = (rest < 1.0) & (giver + 1 < size)
        filled = ~spent & (taker < n_small) & (giver < size)
        at = order[rows, np.minimum(np.where(spent, giver, taker), size - 1)]
        amount = np.where(spent, rest, mass[rows, at])
        after = order[rows, np.minimum(giver + spent, size - 1)]
        move = spent | filled
        threshold[rows[move], at[move]] = amount[move]
        alias[rows[move], at[move]] = after[move]
        rest = np.where(spent, mass[rows, after], rest) - np.where(move, 1.0 - amount, 0.0)
        giver, taker = giver + spent, taker + filled
    bits = np.rint(threshold * 2.0**24).astype(np.int64)
    return AliasTable(torch.from_numpy((bits << 24) | alias).flatten(), size)


def _mix(state: Tensor) -> Tensor:
    """splitmix64's output function; int64 arithmetic wraps, `>>` needs its sign bits masked."""
    bits = state ^ ((state >> 30) & (2**34 - 1))
    bits.mul_(_MULTIPLIER_1)
    bits ^= (bits >> 27).bitwise_and_(2**37 - 1)
    bits.mul_(_MULTIPLIER_2)
    bits ^= (bits >> 31).bitwise_and_(2**33 - 1)
    return bits


@cache
def _name_key(name: str) -> int:
    return _signed(_hash(name))


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value
