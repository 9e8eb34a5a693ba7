"""Memory and time of every stage by the size of what it works on: pure functions.

Memory is the peak of the process, which ``tests/config/test_stage_costs.py`` measures again;
time is that of two cores of a few years ago, or of one modest GPU.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from lpclip.utils.memory import DEFAULT_MEMORY_GB

# Bytes of a process before it reads anything: without PyTorch, and with it.
_PLAIN, _TORCH = 165e6, 950e6
_BLOCK = 64 << 20  # of what is computed together
_LOGITS, _LOOKED_UP = 800e6, 20_000  # of logits that are needed several times; of how many images
_TOGETHER = 600e6  # of the features that an ensemble learns from at a time
_ROW = 400  # bytes of the id, path and label of an image, as text and numbers
# Numbers that are computed with in a second by one thread, and by a GPU.
_THREAD, _DEVICE = 8e9, 5e12
_COPIED = 100e6  # bytes that are read and written in a second
_DECODED = 50  # images of 500 x 375 pixels that a thread reads and decodes in a second


@dataclass(frozen=True, kw_only=True)
class Size:
    """What a stage works on; what it has nothing of is 0.

    Attributes:
        rows: images.
        dim: D of their features.
        classes: C.
        seeds: probes that are trained together.
        rounds: of training.
        epochs: passes of a round.
        teacher: versions of the views that a teacher labels, of every image.
        student: versions that students learn from.
        images: images that are encoded, all views counted.
        versions: of the largest view that is read at once.
        views: that are read one after another, all versions counted.
        tested: images of the test set.
        parameters: numbers of a model.
        operations: multiplications of one image.
        texts: texts that are embedded.
        threads: of the job.
        device: whether it has a GPU.
        budget: bytes that views, and tables of a row per image, may take in memory.
    """

    rows: int = 0
    dim: int = 0
    classes: int = 0
    seeds: int = 1
    rounds: int = 1
    epochs: int = 1
    teacher: int = 1
    student: int = 0
    images: int = 0
    versions: int = 1
    views: int = 1
    tested: int = 0
    parameters: float = 0
    operations: float = 0
    texts: int = 0
    threads: int = 1
    device: bool = False
    budget: float = DEFAULT_MEMORY_GB * 1e9

    @property
    def view(self) -> float:
        """Bytes of one version of all rows, in single precision."""
        return 4.0 * self.rows * self.dim

    @property
    def table(self) -> float:
        """Bytes of a number per row and class, in single precision."""
        return 4.0 * self.rows * self.classes


Cost: TypeAlias = Callable[[Size], float]


def _held(size: Size, n_bytes: float) -> float:
    """Return what of views or tables is in memory: each may take half of the budget."""
    return min(n_bytes, size.budget / 2)


def _index(size: Size) -> float:
    return _PLAIN + 750 * size.rows


def _text(size: Size) -> float:
    return _TORCH + _loaded(size) + 8 * size.texts * size.dim


def _images(size: Size) -> float:
    # Decoded images that wait, and what the encoder computes with of a batch on a CPU.
    batch = 0 if size.device else 32 * 40 * (size.operations / max(size.parameters, 1)) * 768
    return _TORCH + _loaded(size) + batch + 100e6 + 600 * size.rows


def _joined(size: Size) -> float:
    # The same command as embedding, which imports PyTorch before it knows that it only joins.
    return _TORCH + 100e6 + 600 * size.rows


def _loaded(size: Size) -> float:
    """Return the bytes of a model: its file and its tensors are there together for a moment."""
    return 8 * size.parameters


def _copied(size: Size) -> float:
    return _PLAIN + _ROW * size.rows + 0.5 * size.view


def _labelled(size: Size) -> float:
    views, tables = _held(size, size.teacher * size.view), _held(size, 3 * size.table)
    return _PLAIN + _ROW * size.rows + views + tables + _blocks(size)


def _blocks(size: Size) -> float:
    """Return the bytes of what is computed block by block, and of logits that are kept for it."""
    logits = size.teacher * size.table
    kept = min(logits, 4.0 * size.teacher * _LOOKED_UP * size.classes, _LOGITS)
    return 3 * min(_BLOCK, logits) + kept


def _self_trained(size: Size) -> float:
    views = min((size.teacher + size.student) * size.view, size.budget)
    return (
        _TORCH
        + _ROW * size.rows
        + views
        + _held(size, 3 * size.table)
        + _blocks(size)
        + _heads(size)
    )


def _guarded(size: Size) -> float:
    # Candidates learn from a copy of the images that are learned.
    return _self_trained(size) + min((size.teacher + size.student) * size.view, size.budget)


def _heads(size: Size) -> float:
    """Return the bytes of weights, their gradients and the optimiser's two moments."""
    return 16.0 * size.seeds * size.classes * size.dim


def _ensemble(size: Size) -> float:
    return _TORCH + _ROW * size.rows + 3 * min(size.view, _TOGETHER) + 10 * _heads(size)


def _regression(size: Size) -> float:
    return _PLAIN + _ROW * size.rows + 4 * size.view + 2 * size.table


def _adapted(size: Size) -> float:
    return _labelled(size) + _held(size, 2 * size.table)


def _estimated(size: Size) -> float:
    # Adapters' heads, and the heads of one point at a time.
    return _adapted(size) + _heads(size)


def _zero_shot(size: Size) -> float:
    return _PLAIN + _heads(size)


def _evaluated(size: Size) -> float:
    views, tables = _held(size, size.versions * size.view), _held(size, 6 * size.table)
    return _PLAIN + _ROW * size.rows + views + tables + _heads(size)


def _of_features(size: Size) -> float:
    own = 4.0 * size.tested * size.dim
    return _PLAIN + size.view * size.teacher + own + 200e6


def _held_out(size: Size) -> float:
    # At most 20,000 images are looked at.
    return _PLAIN + size.view + min(size.rows, 20_000) * (12.0 * size.classes + 24.0 * size.dim)


def _paired(size: Size) -> float:
    kept = size.rows * (5.0 * size.seeds + 1) * size.views
    return _evaluated(size) + kept


def _gathered(size: Size) -> float:
    return _PLAIN + 100.0 * size.rows * size.seeds


def _reported(size: Size) -> float:
    return 40e6 + _gathered(size)


def _pictured(size: Size) -> float:
    return _TORCH - _PLAIN + _evaluated(size)


def _thumbnails(size: Size) -> float:
    # 256 decoded images of 12 million pixels do not wait: each is made small where it is read.
    return _PLAIN + 200e6 + 750 * size.rows


def _laid_out(size: Size) -> float:
    # Features of the points in float32, twice, and in float64 where distances are computed.
    points = 16.0 * size.tested * size.dim
    return _PLAIN + 200e6 + _ROW * size.rows + _held(size, size.view) + points


def _explored(size: Size) -> float:
    points = 4.0 * size.tested * (size.dim + 4 * size.classes)
    return _PLAIN + 250e6 + _ROW * size.rows + points


MEMORY: Mapping[str, Cost] = {
    "index_samples": _index,
    "count_samples": _index,
    "embed_text": _text,
    "embed_images": _images,
    "embed_shard": _images,
    "join_shards": _joined,
    "copy_text": _copied,
    "copy_features": _copied,
    "pseudo_labels": _labelled,
    "describe_pool": _labelled,
    "estimate_gains": _estimated,
    "evaluate": _evaluated,
    "evaluate_features": _of_features,
    "evaluate_ood": _evaluated,
    "evaluate_held_out": _held_out,
    "evaluate_rounds": _evaluated,
    "evaluate_samples": _paired,
    "predictions": _gathered,
    "pictures": _pictured,
    "report": _reported,
    "page": _reported,
    "thumbnails": _thumbnails,
    "layout": _laid_out,
    "explorer": _explored,
}
# Of training, by kind of method; kinds that are not named here read clean features as a regression.
_TRAINING_MEMORY: Mapping[str, Cost] = {
    "zero_shot": _zero_shot,
    "wise_ft": _zero_shot,
    "self_training": _self_trained,
    "guarded": _guarded,
    **dict.fromkeys(("deep_ensemble", "mc_dropout", "batch_ensemble"), _ensemble),
    **dict.fromkeys(("transclip", "stata", "inmap", "otter", "gaussian"), _adapted),
    **dict.fromkeys(("zlap", "lame", "tda"), _adapted),
}


def memory_bytes(stage: str, size: Size, *, kind: str = "") -> float:
    """Return the peak memory of a stage; of training, that of a kind of method."""
    cost = _TRAINING_MEMORY.get(kind, _regression) if stage == "train_probe" else MEMORY[stage]
    return cost(size)


def seconds(stage: str, size: Size) -> float:
    """Return how long a stage takes on a slow machine."""
    speed = _DEVICE if size.device else _THREAD * max(1, size.threads)
    if stage in ("index_samples", "count_samples"):
        return 60 + size.rows / 1000
    if stage == "embed_text":
        return 120 + size.texts * 77 * size.parameters / speed
    if stage == "join_shards":
        return 60 + 2 * size.versions * size.rows * size.dim / _COPIED
    if stage in ("embed_images", "embed_shard"):
        decoding = size.rows / (_DECODED * max(1, size.threads))
        return 120 + decoding + 2 * size.images * (size.operations / speed + 1e-4)
    if stage == "thumbnails":
        return 60 + size.rows / _DECODED
    if stage == "layout":
        return 60 + 2 * size.tested * (size.tested + 20_000) * size.dim / speed
    products = size.rows * size.dim * size.classes * size.seeds * size.views
    if stage == "train_probe":
        learned = max(1, size.student) * size.epochs * size.rounds
        return 60 + 6 * products * learned / speed + _neighbours(size)
    if stage in ("pseudo_labels", "describe_pool", "estimate_gains"):
        return 60 + 10 * products * size.teacher / speed + _neighbours(size)
    if stage in ("evaluate_features", "evaluate_held_out"):
        return 60 + 4 * size.tested * size.rows * size.dim / speed
    return 60 + 20 * products / speed + 1e-4 * size.rows * size.seeds * size.views


def _neighbours(size: Size) -> float:
    """Return the seconds of looking for neighbours among at most 100,000 images."""
    looked_up = min(size.rows, 100_000)
    return 4 * looked_up**2 * size.dim / (_DEVICE if size.device else _THREAD * size.threads)
