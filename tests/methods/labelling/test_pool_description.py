"""Tests of lpclip.methods.labelling.pool_description."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from lpclip.methods.labelling.pool_description import describe_pool
from lpclip.storage.text import ZeroShotHead


def unit(values):
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def head_of(text, scale=100.0):
    names = tuple(f"class {c}" for c in range(len(text)))
    return ZeroShotHead(text.astype(np.float32), 0.0, scale, names, {})


def random_pool(n=60, n_classes=5, seed=0):
    generator = np.random.default_rng(seed)
    text = unit(generator.standard_normal((n_classes, 32)))
    labels = generator.integers(n_classes, size=n)
    images = unit(text[labels] + 0.15 * generator.standard_normal((n, 32)))
    return images[None].astype(np.float32), head_of(text)


def test_the_model_s_scale_changes_nothing():
    views, head = random_pool()
    one, other = describe_pool(views, head), describe_pool(views, replace(head, scale=20.0))
    for name, value in vars(one).items():
        assert_allclose(value, getattr(other, name)) if name != "reason" else None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v, w: (v, np.repeat(w[:1], len(w), axis=0)), "texts"),
        (lambda v, w: (np.repeat(v[:, :1], 9, axis=1), w), "images have the same"),
        (lambda v, w: (v, w[:1]), "one class"),
        (lambda v, w: (v[:, :1], w), "1 image"),
        (lambda v, w: (unit(w[:1] + 0.1 * v[0])[None], w), "one class for every image"),
    ],
)
def test_a_pool_on_which_zero_shot_distinguishes_nothing_is_named(change, words):
    views, head = random_pool()
    assert describe_pool(views, head).separable
    views, text = change(views, head.weight)
    described = describe_pool(views, head_of(text))
    assert not described.separable
    assert words in described.reason
