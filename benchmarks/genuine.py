"""The battery's cases of genuine CLIP features, without views: tidy and untidy unlabelled sets.

A folder of .npz files named {model}-{set}.npz, as benchmarks/README.md describes them. Cases that a
set has too few images for are left out.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import cases
import numpy as np
from cases import Case, Images, Study

from lpclip.storage.features import normalise
from lpclip.storage.text import ZeroShotHead

# The model's name ends with its architecture.
NAME = re.compile(r"(?P<model>.*?(?:vit-[a-z]\d+|rn\d+(?:x\d+)?))-(?P<images>.+)")
# Transductive figures are published for both parts together.
WHOLE = ("whurs19",)
# Images that are of none of the classes of the other sets, the preferred ones first.
OTHERS = ("food24", "caltech65")


@dataclass(frozen=True)
class GenuineSet:
    """A file of features.

    Attributes:
        model: which embedded the images.
        images: name of the images.
        path: of the file.
    """

    model: str
    images: str
    path: Path

    @property
    def name(self) -> str:
        """The images' name, with that of the model unless it is the usual one."""
        model = self.model.removeprefix("clip-").replace("vit-", "")
        return self.images if model == "b32" else f"{self.images} {model}"

    def read(self) -> Case:
        """Return the case in which the unlabelled set is whole."""
        return _read(self.path)[0]

    def textures(self) -> Images | None:
        """Return images of textures, if the file has some."""
        return _read(self.path)[1]


@cache
def _read(path: Path) -> tuple[Case, Images | None]:
    """Read arrays adapt, adapt_labels, test, test_labels, text, classes; optional ood_textures."""
    with np.load(path, allow_pickle=False) as arrays:
        found = dict(arrays)
    text = normalise(found["text"].astype(np.float32))
    head = ZeroShotHead(text, 0.0, 100.0, tuple(map(str, found["classes"])), {})
    adapt, test = (
        cases.without_views(found[part], found[f"{part}_labels"].astype(np.int64))
        for part in ("adapt", "test")
    )
    textures = found.get("ood_textures")
    others = None
    if textures is not None:
        others = cases.without_views(textures, np.full(len(textures), -1))
    return Case(path.stem, head, adapt, test), others


def sets_of(folder: Path) -> list[GenuineSet]:
    """Return the sets of a folder, by name."""
    found = []
    for path in sorted(folder.glob("*.npz")):
        match = NAME.fullmatch(path.stem)
        model, images = match.group("model", "images") if match else ("", path.stem)
        found.append(GenuineSet(model, images, path))
    return sorted(found, key=lambda one: one.name)


def genuine_studies(folder: Path) -> Iterator[Study]:
    """Yield every case of every set of a folder."""
    sets = sets_of(folder)
    for one in sets:
        yield from _of_set(one, sets)
        yield from _harm(one)


def _of_set(one: GenuineSet, sets: list[GenuineSet]) -> Iterator[Study]:
    tidy = one.read()
    n_classes = len(tidy.head.weight)
    per_class = len(tidy.adapt.labels) / n_classes
    make = partial(Study, "genuine", one.name)
    yield make("tidy", lambda _: one.read(), sampled=False)
    whole = one.images in WHOLE
    name = "transductive, the whole set" if whole else "transductive"
    yield make(name, lambda _: _transductive(one), sampled=False, tested_on=("pool",))
    if len(_transductive(one).adapt.labels) / n_classes >= 10:
        yield make(
            f"{name}, 10:1",
            lambda seed: cases.on_itself(_rarer(_transductive(one), 10.0, seed)),
            tested_on=("pool",),
        )
    yield make("5 classes", _of_classes(one, lambda _: 5))
    yield make("half of the classes", _of_classes(one, lambda _: n_classes // 2))
    yield make("falling to .28", lambda seed: _falling(one.read(), seed))
    if per_class >= 10:
        yield make("10:1", lambda seed: _rarer(one.read(), 10.0, seed))
    for name, others in _others(one, sets):
        for share in (0.3, 0.5):
            yield make(
                f"{share:.0%} {name}",
                lambda seed, others=others, share=share: _mixed(one.read(), others(), share, seed),
            )
    for n in (4, 16):
        if per_class > 1.25 * n:
            yield make(f"{n} a class", lambda seed, n=n: cases.few(one.read(), str(n), n, seed))


def _harm(one: GenuineSet) -> Iterator[Study]:
    """Yield unlabelled sets of few classes, tested on themselves and on the test set."""
    n_classes = len(one.read().head.weight)
    make = partial(Study, "harm", one.name, tested_on=("test", "pool"))
    for n in (1, 2, 4):
        sample = _of_classes(one, lambda _, n=n: n, most=64)
        yield make(f"64 images of {n} class{'es' if n > 1 else ''}", sample)
    for low, high in ((5, 25), (25, 50)):
        most = min(high, n_classes - 1)
        if most > low:
            yield make(
                f"{low}–{high} classes",
                _of_classes(
                    one,
                    lambda seed, low=low, most=most: int(
                        np.random.default_rng([seed, 1]).integers(low, most + 1)
                    ),
                ),
            )


def _transductive(one: GenuineSet) -> Case:
    """Return the test set as the unlabelled set; for some sets, both parts as both."""
    case = one.read()
    if one.images not in WHOLE:
        return replace(case, adapt=case.test)
    both = cases.without_views(
        np.concatenate([case.adapt.clean, case.test.clean]),
        np.concatenate([case.adapt.labels, case.test.labels]),
    )
    return replace(case, adapt=both, test=both)


def _of_classes(
    one: GenuineSet, n: Callable[[int], int], most: int | None = None
) -> Callable[[int], Case]:
    """Return a sampler of so many classes, and of so many images at most."""

    def sample(seed: int) -> Case:
        case = cases.of_classes(one.read(), "", n(seed), seed)
        return case if most is None else cases.some(case, "", most, seed)

    return sample


def _falling(case: Case, seed: int) -> Case:
    return cases.rarer(case, "", 1 - 0.72 * _order(case, seed), seed)


def _rarer(case: Case, ratio: float, seed: int) -> Case:
    return cases.rarer(case, "", ratio ** -_order(case, seed), seed)


def _order(case: Case, seed: int) -> np.ndarray:
    """Return 0, ..., 1 for the classes in a random order."""
    n = len(case.head.weight)
    return np.random.default_rng([seed, 1]).permutation(n) / (n - 1)


def _others(one: GenuineSet, sets: list[GenuineSet]) -> Iterator[tuple[str, Callable[[], Images]]]:
    """Yield the images of none of the classes that the same model has embedded."""
    same = [other for other in sets if other.model == one.model]
    for other in same:
        textures = other.textures()
        if textures is not None:
            yield "textures", lambda textures=textures: textures
            break
    same = [other for other in same if other.images != one.images]
    if same:
        ranks = {name: rank for rank, name in enumerate(OTHERS)}
        best = min(same, key=lambda other: (ranks.get(other.images, len(OTHERS)), other.name))
        yield best.images, lambda: best.read().adapt


def _mixed(case: Case, others: Images, share: float, seed: int) -> Case:
    """Add other images up to a share; images of the classes are left out if there are too few."""
    most = int(len(others.labels) * (1 - share) / share)
    n = min(len(case.adapt.labels), most)
    return cases.mixed(cases.some(case, "", n, seed), "", others, share, seed)
