"""The battery's cases of handwritten digits, embedded by the embedded CLIP, with views."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import cases
import numpy as np
from cases import Case, Images, Study
from development_sets import kept

from lpclip.methods.kinds.self_training import Settings

PAINTS: Mapping[str, Mapping[str, str]] = {
    "digits": {},
    "coloured": {"paint": "colours"},
    "on photographs": {"paint": "photographs"},
}
LETTERS = {"kind": "glyphs", "characters": "letters_and_symbols"}


def digit_studies(keep: Path) -> Iterator[Study]:
    """Yield the digits' cases; features are made when a case needs them, and kept in a folder."""
    c = np.arange(10)
    for images in PAINTS:
        make = partial(digits, keep, images)
        yield _study(images, "", make, sampled=False)
        for name, frequencies in (("1 - .08 c", 1 - 0.08 * c), ("10:1", 10.0 ** (-c / 9))):
            yield _study(images, name, make, partial(cases.rarer, name=name, keep=frequencies))
    for images in ("digits", "coloured"):
        for n in (20, 50):
            few = partial(cases.few, name=str(n), per_class=n)
            yield _study(images, f"{n} a class", partial(digits, keep, images), few)
    few = partial(cases.few, name="200", per_class=200)
    yield _study(
        *("digits", "200 a class of all, tested on themselves", partial(_all, keep)),
        lambda case, seed: cases.on_itself(few(case, seed=seed)),
        tested_on=("pool",),
    )
    make = partial(digits, keep, "digits")
    yield _study("digits", "5 of 10 classes", make, partial(cases.of_classes, name="5", n=5))
    for share in (0.1, 0.3, 0.5):
        yield _study(
            *("digits", f"{share:.0%} letters", make),
            lambda case, seed, share=share: cases.mixed(
                case, "", _embedded(keep, "letters", {**LETTERS, "n": 900, "seed": 9}), share, seed
            ),
        )
    yield _study("digits", "seven is called banana", partial(_banana, keep), sampled=False)
    yield _study("digits", "nine is not in the list", partial(_without_nine, keep), sampled=False)
    for threshold in (0.0, 0.9, 0.95):
        yield _study(
            *("digits", f"threshold {threshold}", make),
            sampled=False,
            change=partial(_with_threshold, threshold=threshold),
        )


def _study(
    images: str,
    pool: str,
    make: Callable[[], Case],
    change_pool: Callable[..., Case] = lambda case, seed: case,  # noqa: ARG005
    **other: Any,
) -> Study:
    return Study("digits", images, pool, lambda seed: change_pool(make(), seed=seed), **other)


@cache
def digits(keep: Path, images: str) -> Case:
    """Return the digits with their whole unlabelled set, and OOD images."""
    adapt, test = (
        _embedded(
            keep,
            f"{images}, {split}",
            {"kind": "digits", "split": split, **PAINTS[images]},
            views=split == "adapt",
        )
        for split in ("adapt", "test")
    )
    ood = {
        "near": _embedded(keep, "other letters", {**LETTERS, "n": 899}, views=False),
        "far": _embedded(keep, "photo patches", {"kind": "photo_patches", "n": 899}, views=False),
    }
    return Case(images, cases.zero_shot(cases.NUMBERS, cases.DIGIT_TEMPLATES), adapt, test, ood)


def _embedded(keep: Path, name: str, source: Mapping[str, Any], *, views: bool = True) -> Images:
    return kept(keep / f"{name}.npz", partial(cases.embed, source, views=views))


def _all(keep: Path) -> Case:
    both = _embedded(keep, "digits, all", {"kind": "digits", "split": "all"})
    return replace(digits(keep, "digits"), adapt=both)


def _banana(keep: Path) -> Case:
    wrong = (*cases.NUMBERS[:7], "banana", *cases.NUMBERS[8:])
    return replace(digits(keep, "digits"), head=cases.zero_shot(wrong, cases.DIGIT_TEMPLATES))


def _without_nine(keep: Path) -> Case:
    """Use nine class names; the nines stay in the unlabelled set, as OOD images."""
    case = digits(keep, "digits")
    labels = np.where(case.adapt.labels == 9, -1, case.adapt.labels)
    return replace(
        case,
        head=cases.zero_shot(cases.NUMBERS[:9], cases.DIGIT_TEMPLATES),
        adapt=replace(case.adapt, labels=labels),
        test=case.test.take(np.flatnonzero(case.test.labels != 9)),
    )


def _with_threshold(settings: Settings, threshold: float) -> Settings:
    return replace(settings, labelling=replace(settings.labelling, threshold=threshold))
