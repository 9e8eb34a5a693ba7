"""In-memory cases for self-training: an unlabelled pool, a labelled test set, a zero-shot head."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL.Image import Image
from tiny.captions import SYMBOL_NAMES

from lpclip.data.base import UNLABELLED
from lpclip.data.index import index_samples
from lpclip.data.registry import open_source
from lpclip.features.images import embed_images
from lpclip.features.text import embed_text
from lpclip.methods.kinds.self_training import Settings
from lpclip.methods.training.pool import Pool, half_of_each
from lpclip.models.spec import ModelSpec
from lpclip.storage.features import normalise, read_features
from lpclip.storage.samples import read_samples
from lpclip.storage.text import ZeroShotHead, read_head
from lpclip.types import FloatArray, IntArray

MODEL = ModelSpec("tiny", "lpclip-tiny", "embedded")
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIGIT_TEMPLATES = (
    "a photo of the number {}.",
    "an image of the number {}.",
    "a drawing of the number {}.",
    "a blurry image of the number {}.",
    "a low resolution photo of the digit {}.",
    "the digit {} written by hand.",
    "the digit {} in white on a black background.",
)
TEMPLATES = ("a photo of the {}.", "an image of the {}.", "a drawing of the {}.")


@dataclass(frozen=True)
class Images:
    """A dataset in memory: unit-length features and labels.

    Attributes:
        weak: ``[V, N, D]``; only the clean features where there are no images.
        strong: ``[V, N, D]``, likewise.
        clean: ``[N, D]``.
        labels: ``[N]``, -1 for an out-of-distribution (OOD) image.
    """

    weak: FloatArray
    strong: FloatArray
    clean: FloatArray
    labels: IntArray

    def take(self, rows: IntArray) -> "Images":
        """Return the given rows."""
        return Images(self.weak[:, rows], self.strong[:, rows], self.clean[rows], self.labels[rows])

    def pool(self, settings: Settings) -> Pool:
        """Return the dataset without labels, with the views that a method uses."""
        if len(self.weak) == 1:  # there are no images
            return Pool(self.weak, self.weak)
        students = {
            "both": half_of_each(self.weak, self.strong),
            "strong": self.strong,
            "weak": self.weak,
        }
        return Pool(self.weak, students[settings.student_view])


@dataclass(frozen=True)
class Case:
    """Data for one run of self-training.

    Attributes:
        name: the images and how they were changed.
        head: the zero-shot head.
        adapt: the unlabelled set; its labels are for reference only.
        test: the labelled test set.
        ood: group (near, far) -> OOD test images.
    """

    name: str
    head: ZeroShotHead
    adapt: Images
    test: Images
    ood: Mapping[str, Images] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """A case of the battery, as every seed samples it.

    Attributes:
        table: digits, genuine, harm or many classes.
        images: name of the images.
        pool: how the unlabelled set differs from all of the set's; empty where it does not.
        sample: the case of a seed.
        sampled: whether the unlabelled set differs from seed to seed.
        tested_on: test, the labelled test set; pool, the images of the unlabelled set; or both.
        change: what the study changes in the settings of self-training.
        without: methods that would take too long.
        most_seeds: no more seeds than this.
    """

    table: str
    images: str
    pool: str
    sample: Callable[[int], Case]
    sampled: bool = True
    tested_on: tuple[str, ...] = ("test",)
    change: Callable[[Settings], Settings] = lambda settings: settings
    without: tuple[str, ...] = ()
    most_seeds: int = 100

    @property
    def name(self) -> str:
        """Images and pool."""
        return f"{self.images}, {self.pool}" if self.pool else self.images


def without_views(clean: FloatArray, labels: IntArray) -> Images:
    """Return a dataset with clean features only."""
    unit = normalise(np.asarray(clean, dtype=np.float32))
    return Images(unit[None], unit[None], unit, np.asarray(labels))


@cache
def zero_shot(class_names: Sequence[str], templates: Sequence[str]) -> ZeroShotHead:
    """Return the zero-shot head of the embedded CLIP."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "text.h5"
        embed_text(output=path, model=MODEL, class_names=class_names, templates=templates)
        return read_head(path)[0]


def embed(source: Mapping[str, Any], *, views: bool = True) -> Images:
    """Embed a source's images with the embedded CLIP; without ``views``, the clean view only."""
    wanted: dict[str, dict[str, int]] = {"clean": {}}
    if views:
        wanted |= {"weak": {"versions": 8}, "strong": {"versions": 8}}
    with TemporaryDirectory() as folder:
        index, output = Path(folder) / "samples.h5", Path(folder) / "features.h5"
        index_samples(output=index, dataset="images", source=source)
        embed_images(
            samples=index,
            output=output,
            dataset="images",
            source=source,
            model=MODEL,
            views=wanted,
        )
        labels = read_samples(index, labels=True)["label"].to_numpy()
        found = {name: read_features(output, name, expected={}) for name in wanted}
    clean = found["clean"]
    return Images(found.get("weak", clean[None]), found.get("strong", clean[None]), clean, labels)


def redraw(source: Mapping[str, Any], change: Callable[[Image], Image], folder: Path) -> Any:
    """Write a changed copy of every image to a folder; return the new source."""
    settings = dict(source)
    opened = open_source(settings.pop("kind"), settings)
    for sample in opened.samples():
        path = folder / f"{sample.label:03d}" / f"{sample.id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        change(opened.read(sample.path)).save(path)
    return {"kind": "folder", "root": str(folder)}


def names_of(characters: str) -> tuple[str, ...]:
    """Return the class names of rendered characters, as captions name them."""
    if characters == "digits":
        return NUMBERS
    source = open_source("glyphs", {"characters": characters, "n": 1})
    return tuple(
        SYMBOL_NAMES.get(name, f"{'capital' if name.isupper() else 'small'} letter {name}")
        for name in source.class_names or ()
    )


def rarer(case: Case, name: str, keep: FloatArray, seed: int) -> Case:
    """Keep an image of class c with probability ``keep[c]``."""
    generator = np.random.default_rng(seed)
    chance = generator.random(len(case.adapt.labels))
    return _of_rows(case, name, np.flatnonzero(chance < keep[case.adapt.labels]))


def few(case: Case, name: str, per_class: int, seed: int) -> Case:
    """Keep ``per_class`` images of every class."""
    order = np.random.default_rng(seed).permutation(len(case.adapt.labels))
    labels = case.adapt.labels[order]
    rank = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        rank[own] = np.arange(len(own))
    return _of_rows(case, name, np.sort(order[rank < per_class]))


def of_classes(case: Case, name: str, n: int, seed: int) -> Case:
    """Keep the images of ``n`` classes."""
    present = np.random.default_rng(seed).permutation(len(case.head.weight))[:n]
    return _of_rows(case, name, np.flatnonzero(np.isin(case.adapt.labels, present)))


def some(case: Case, name: str, n: int, seed: int) -> Case:
    """Keep ``n`` images."""
    order = np.random.default_rng(seed).permutation(len(case.adapt.labels))
    return _of_rows(case, name, np.sort(order[:n]))


def on_itself(case: Case) -> Case:
    """Test on the unlabelled set."""
    return replace(case, test=case.adapt)


def mixed(case: Case, name: str, ood: Images, share: float, seed: int) -> Case:
    """Add OOD images until they are a share of the unlabelled set."""
    n = round(len(case.adapt.labels) * share / (1 - share))
    order = np.random.default_rng(seed).permutation(len(ood.labels))
    if n > len(order):
        raise ValueError(f"{name} needs {n} OOD images, but there are {len(order)}")
    more = ood.take(order[:n])
    adapt = Images(
        np.concatenate([case.adapt.weak, more.weak], axis=1),
        np.concatenate([case.adapt.strong, more.strong], axis=1),
        np.concatenate([case.adapt.clean, more.clean]),
        np.concatenate([case.adapt.labels, np.full(n, UNLABELLED)]),
    )
    return replace(case, name=f"{case.name}, {name}", adapt=adapt)


def _of_rows(case: Case, name: str, rows: IntArray) -> Case:
    return replace(case, name=f"{case.name}, {name}", adapt=case.adapt.take(rows))
