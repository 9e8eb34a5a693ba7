"""Linear heads on the views of a large set, block by block.

The logits of all views, samples and classes never exist at once: 3.2 GB for 8 views of 100,000
samples and 1,000 classes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lpclip.storage.stored_views import Views, take_images
from lpclip.types import FloatArray, IntArray
from lpclip.utils.memory import Rows, block_rows, empty_rows

# Logits of no more bytes are held where they are needed several times: 8 views of 20,000 samples
# and 1,000 classes, two arrays of 100,000 samples and 1,000 classes.
HELD_BYTES = 800_000_000


@dataclass(frozen=True)
class Heads:
    """Linear heads, one of which predicts each sample.

    logits = (features - centre) @ weight.T + bias

    Attributes:
        weight: ``[H, C, D]``.
        bias: ``[H, C]``.
        centre: ``[H, D]``; near the features, small differences of large logits stay exact.
        of: head of each sample, ``[N]``.
    """

    weight: FloatArray
    bias: FloatArray
    centre: FloatArray
    of: IntArray

    def scaled(self, factor: float) -> "Heads":
        """Return heads whose logits are multiplied by a factor."""
        return replace(self, weight=factor * self.weight, bias=factor * self.bias)

    def plus(self, weight: FloatArray, bias: FloatArray) -> "Heads":
        """Return heads to whose logits those of one head are added.

        Args:
            weight: ``[C, D]``, of a head with its centre at 0.
            bias: ``[C]``.
        """
        return replace(
            self,
            weight=self.weight + weight,
            bias=self.bias + bias + self.centre @ weight.T.astype(np.float64),
        )


def one_head(weight: FloatArray, bias: FloatArray | float, n_samples: int) -> Heads:
    """Return a head ``[C, D]`` with bias ``[C]``, or one number, that predicts all samples."""
    n_classes, dim = weight.shape
    return Heads(
        weight=weight[None],
        bias=np.broadcast_to(bias, (1, n_classes)),
        centre=np.zeros((1, dim)),
        of=np.zeros(n_samples, dtype=np.int64),
    )


def logits_by_block(
    views: "Views | MeanView", heads: Heads, rows: IntArray | None = None
) -> Iterator[tuple[IntArray, FloatArray]]:
    """Compute logits, head by head and block by block.

    Args:
        views: features ``[V, N, D]``.
        heads: of the N samples.
        rows: samples that are wanted; all if None.

    Yields:
        Samples ``[n]`` and their logits ``[V, n, C]``, of the type of the views.
    """
    rows = np.arange(views.shape[1]) if rows is None else rows
    size = block_rows(len(views) * heads.weight.shape[1] * views.itemsize)
    for number, (weight, bias, centre) in enumerate(
        zip(
            heads.weight.astype(views.dtype),
            heads.bias.astype(views.dtype),
            heads.centre.astype(views.dtype),
            strict=True,
        )
    ):
        own = rows[heads.of[rows] == number]
        for start in range(0, len(own), size):
            block = own[start : start + size]
            features = (
                views.take(block) if isinstance(views, MeanView) else take_images(views, block)
            )
            features -= centre
            logits = features @ weight.T
            logits += bias
            yield block, logits


def mean_softmax(views: Views, heads: Heads) -> Rows:
    """Return the softmax of the logits, averaged over the views.

    Args:
        views: features ``[V, N, D]``.
        heads: of the N samples.

    Returns:
        ``[N, C]``, of the type of the views; in a file if it does not fit in memory.
    """
    mean: Rows = empty_rows(views.shape[1], heads.weight.shape[1], views.dtype)
    for rows, logits in logits_by_block(views, heads):
        mean[rows] = softmax_in_place(logits).mean(axis=0)
    return mean


def most_probable(views: Views, heads: Heads, rows: IntArray | None = None) -> IntArray:
    """Return the class with the largest logit, averaged over the views, of each sample.

    Args:
        views: features ``[V, N, D]``.
        heads: of the N samples.
        rows: samples that are wanted; all if None.

    Returns:
        ``[N]`` int64; 0 for samples that are not wanted.
    """
    index = np.zeros(views.shape[1], dtype=np.int64)
    # The mean of the logits is the logits of the mean.
    for block, logits in logits_by_block(MeanView(views), heads, rows):
        index[block] = logits[0].argmax(axis=-1)
    return index


@dataclass(frozen=True)
class Logits:
    """Logits of some samples, in blocks ``[V, n, C]`` that are computed in every iteration.

    Attributes:
        views: features ``[V, N, D]``.
        heads: of the N samples.
        rows: the samples.
    """

    views: Views
    heads: Heads
    rows: IntArray

    def __iter__(self) -> Iterator[FloatArray]:
        """Compute them block by block."""
        return (logits for _, logits in logits_by_block(self.views, self.heads, self.rows))


def repeated_logits(views: Views, heads: Heads, rows: IntArray) -> Iterable[FloatArray]:
    """Return logits of some samples as blocks, held where they fit in ``HELD_BYTES``."""
    blocks = Logits(views, heads, rows)
    size = len(views) * len(rows) * heads.weight.shape[1] * views.itemsize
    return list(blocks) if size <= HELD_BYTES else blocks


def softmax_in_place(logits: FloatArray) -> FloatArray:
    """Overwrite logits ``[..., C]`` with their softmax over C, and return it."""
    logits -= logits.max(axis=-1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=-1, keepdims=True)
    return logits


def mean_view(views: Views, rows: IntArray) -> FloatArray:
    """Return the mean ``[n, D]`` of some samples over views ``[V, N, D]``, one view at a time."""
    total: FloatArray = views[0][rows]
    for place in range(1, len(views)):
        total += views[place][rows]
    total /= len(views)
    return total


@dataclass(frozen=True)
class MeanView:
    """The mean of views ``[V, N, D]`` as one view, computed where it is needed."""

    views: Views

    @property
    def shape(self) -> tuple[int, int, int]:
        """One view, samples, dimension."""
        return (1, *self.views.shape[1:])

    @property
    def dtype(self) -> npt.DTypeLike:
        """That of the views."""
        return self.views.dtype

    @property
    def itemsize(self) -> int:
        """Likewise."""
        return self.views.itemsize

    def __len__(self) -> int:
        return 1

    def take(self, rows: IntArray) -> FloatArray:
        """Compute the mean of some samples, ``[1, n, D]``."""
        return mean_view(self.views, rows)[None]
