"""The battery's cases of a thousand classes: Gaussian features of 512 dimensions.

Classes are in groups of five; images of all classes share a direction, and so do texts, another
one, as images and texts of a CLIP model do. Zero-shot is right for about 60 %; the class means of
four labelled images each would be for about 80 %.
"""

from collections.abc import Iterator
from functools import partial

import cases
import numpy as np
from cases import Case, Study

from lpclip.storage.features import normalise
from lpclip.storage.text import ZeroShotHead
from lpclip.types import FloatArray, IntArray

CLASSES, DIM, TEST = 1000, 512, 5
SPREAD, NOISE = 1.05, 1.75  # of images around their class, of texts around theirs


def many_class_studies() -> Iterator[Study]:
    """Yield 4 and 30 images a class; of the latter one seed, since training takes minutes."""
    for per_class, most_seeds in ((4, 100), (30, 1)):
        yield Study(
            "many classes",
            f"{CLASSES} classes",
            f"{per_class} a class",
            partial(synthetic, per_class),
            most_seeds=most_seeds,
            without=("inmap",),  # hours of gradient steps
        )


def synthetic(per_class: int, seed: int) -> Case:
    """Return a case with so many unlabelled images of each class."""
    generator = np.random.default_rng(seed)

    def normal(*shape: int) -> FloatArray:
        values: FloatArray = generator.standard_normal(shape, dtype=np.float32)
        return values

    groups = normalise(normal(CLASSES // 5, DIM))[generator.integers(CLASSES // 5, size=CLASSES)]
    means = normalise(groups + normalise(normal(CLASSES, DIM)))
    of_images, of_texts = normalise(normal(2, DIM))
    scales = np.exp(-np.arange(DIM, dtype=np.float32) / (DIM / 4))
    scales *= SPREAD / np.linalg.norm(scales)
    turned = np.linalg.qr(normal(DIM, DIM))[0] * scales

    def images(labels: IntArray) -> FloatArray:
        return of_images + 0.5 * means[labels] + normal(len(labels), DIM) @ turned.T

    described = normalise(means + NOISE * normalise(normal(CLASSES, DIM)))
    text = normalise(of_texts + 0.8 * described)
    labels = {n: np.repeat(np.arange(CLASSES), n) for n in (per_class, TEST)}
    adapt, test = (cases.without_views(images(labels[n]), labels[n]) for n in (per_class, TEST))
    names = tuple(f"class {number}" for number in range(CLASSES))
    return Case("synthetic", ZeroShotHead(text, 0.0, 100.0, names, {}), adapt, test)
