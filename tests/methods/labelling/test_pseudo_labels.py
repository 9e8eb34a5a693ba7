"""Pseudo-labels: corrections, selection, averages, and the file of the stage."""

import json
from math import ceil
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from lpclip.errors import LpclipError
from lpclip.methods.labelling.priors import apply_prior
from lpclip.methods.labelling.pseudo_labels import (
    label,
    label_views,
    pseudo_labels,
    rank_in_class,
    structure_weight,
)
from lpclip.methods.labelling.settings import Labelling, Prior
from lpclip.methods.labelling.structure import Structure
from lpclip.storage.features import normalise, write_features
from lpclip.storage.hdf5 import open_file, provenance_of
from lpclip.storage.samples import fingerprint
from lpclip.storage.tables import read_table
from lpclip.storage.text import text_fingerprint, write_text
from tests.helpers.dense import mean_prediction


def plain(**changes):
    """Return a labelling without the corrections that depend on the whole set."""
    return Labelling(
        **{"temperature": 1.0, "structure": 0.0, "prior": "none", "class_floor": 0.0} | changes
    )


MODEL = {"model": "tiny", "weights": "3f9a"}


def predictions(n=40, c=4, seed=0, tilt=2.0):
    """Return distributions [N, C] that favour the first classes."""
    logits = np.random.default_rng(seed).normal(size=(n, c)) * 2 - tilt * np.arange(c) / c
    exponent = np.exp(logits)
    return exponent / exponent.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("prior", get_args(Prior))
def test_leading_axes_are_independent(prior):
    stack = np.stack([predictions(seed=seed) for seed in range(6)]).reshape(2, 3, 40, 4)
    labelling = plain(prior=prior, threshold=0.6, class_floor=0.2, top_k=3)
    together = label(stack, labelling)
    for i, j in np.ndindex(2, 3):
        alone = label(stack[i, j], labelling)
        np.testing.assert_allclose(together.probabilities[i, j], alone.probabilities, rtol=1e-6)
        np.testing.assert_array_equal(together.class_index[i, j], alone.class_index)
        np.testing.assert_array_equal(together.selected[i, j], alone.selected)


def test_a_label_is_the_most_probable_class_and_its_probability():
    p = predictions()
    made = label(p, plain())
    np.testing.assert_array_equal(
        made.class_index, [max(range(4), key=list(r).__getitem__) for r in p]
    )
    np.testing.assert_allclose(made.confidence, [max(r) for r in p], rtol=1e-6)
    assert (made.class_index.dtype, made.confidence.dtype) == (np.int32, np.float32)
    assert made.probabilities.dtype == np.float32


def test_the_threshold_keeps_what_reaches_it():
    p = np.array([[0.5, 0.5], [0.75, 0.25], [0.25, 0.75], [0.625, 0.375]])
    assert label(p, plain(threshold=0.75)).selected.tolist() == [False, True, True, False]
    assert label(p, plain(threshold=0.0)).selected.all()
    assert not label(p, plain(threshold=1.0)).selected.any()


def test_the_threshold_applies_after_the_prior():
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4]])
    assert label(p, plain(threshold=0.7)).selected.tolist() == [True, True, False]
    aligned = label(p, plain(threshold=0.7, prior="align"))
    assert aligned.selected.tolist() == [False, False, True]
    assert aligned.class_index[2] == 1


@pytest.mark.parametrize("k", [1, 3, 100])
def test_top_k_keeps_the_k_surest_of_each_class(k):
    rng = np.random.default_rng(1)
    index, confidence = rng.integers(0, 4, 60), rng.integers(0, 9, 60) / 10
    expected = np.zeros(60, dtype=bool)
    for c in range(4):
        own = [i for i in range(60) if index[i] == c]
        expected[sorted(own, key=lambda i: (-confidence[i], i))[:k]] = True
    np.testing.assert_array_equal(rank_in_class(index, confidence)[0] < k, expected)


def test_top_k_keeps_nothing_below_the_threshold():
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.45, 0.55], [0.3, 0.7]])
    made = label(p, plain(threshold=0.6, top_k=1))
    assert made.selected.tolist() == [True, False, False, True]
    assert label(p, plain(threshold=0.6)).selected.tolist() == [True, True, False, True]


@pytest.mark.parametrize("floor", [0.1, 0.3, 1.0])
def test_the_class_floor_keeps_the_surest_share_of_every_predicted_class(floor):
    p = predictions(n=83, tilt=6.0)
    index, confidence = p.argmax(axis=1), p.max(axis=1)
    expected = np.zeros(83, dtype=bool)
    for c in range(4):
        own = sorted(np.flatnonzero(index == c), key=lambda i: -confidence[i])
        expected[own[: ceil(floor * len(own))]] = True
    np.testing.assert_array_equal(
        label(p, plain(threshold=1.0, class_floor=floor)).selected, expected
    )
    assert set(index[expected]) == set(index)
    made = label(p, plain(threshold=0.8, class_floor=floor))
    np.testing.assert_array_equal(made.selected, expected | (confidence >= 0.8))


def test_top_k_limits_what_the_class_floor_keeps():
    p = predictions(n=83)
    made = label(p, plain(threshold=0.0, class_floor=0.5, top_k=2))
    assert np.bincount(made.class_index[made.selected], minlength=4).max() == 2


NO_BIAS = np.zeros(2)


def two_blobs(n=200, lean=2.0, seed=0):
    """Return views [2, N, D] of two blobs, their classes, and text features biased to the first."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 2
    centres = np.eye(2, 8)
    views = centres[truth] + 0.25 * rng.normal(size=(n, 8)) + 0.05 * rng.normal(size=(2, n, 8))
    views = normalise(views.astype(np.float32))
    text = normalise(centres + [[0, 0, 0.5, 0, 0, 0, 0, 0]] + [[0], [lean]] * centres[0])
    return views, truth, text.astype(np.float32)


def test_structure_corrects_the_labels_of_a_zero_shot_head_that_leans():
    views, truth, text = two_blobs()
    right = {
        weight: np.mean(
            label_views(
                20 * text,
                NO_BIAS,
                plain(temperature="auto", structure=weight, prior="auto"),
                Structure(views),
            ).class_index
            == truth
        )
        for weight in (0.0, 0.6)
    }
    assert right[0.0] < 0.85
    assert right[0.6] > right[0.0] + 0.05


def test_structure_adds_what_gaussians_fitted_to_the_corrected_predictions_say():
    views, _, text = two_blobs()
    found = Structure(views)
    made = label_views(8 * text, NO_BIAS, plain(structure=0.5, prior="align"), found)
    cosines = views @ text.T
    predicted = apply_prior(mean_prediction(8 * cosines), "align")
    weight = structure_weight(0.5, *predicted.shape)
    assert 0.4 < weight < 0.5
    logits = 8 * cosines + weight * found.gaussian_logits(predicted)
    expected = apply_prior(mean_prediction(logits), "align")
    np.testing.assert_allclose(made.probabilities, expected, rtol=1e-5)


@pytest.mark.parametrize("structure", [0.0, 0.6])
def test_the_scale_of_the_model_changes_nothing_with_temperature_auto(structure):
    views, _, text = two_blobs()

    def made(scale, temperature):
        labelling = Labelling(temperature=temperature, structure=structure, threshold=0.7)
        return label_views(scale * text, NO_BIAS, labelling, Structure(views))

    one, five = made(8.0, "auto"), made(40.0, "auto")
    np.testing.assert_array_equal(one.class_index, five.class_index)
    np.testing.assert_array_equal(one.selected, five.selected)
    np.testing.assert_allclose(one.confidence, five.confidence, atol=1e-4)
    assert 0 < one.selected.mean() < 1
    fixed, times_five = made(8.0, 1.0), made(40.0, 1.0)
    assert np.abs(fixed.confidence - times_five.confidence).max() > 0.05
    assert not np.array_equal(fixed.selected, times_five.selected)


@pytest.mark.parametrize("structure", [0.0, 0.6])
def test_temperature_auto_is_as_sure_as_neighbours_agree(structure):
    views, _, text = two_blobs()
    found = Structure(views)
    labelling = plain(temperature="auto", structure=structure)
    made = label_views(8 * text, NO_BIAS, labelling, found)
    agreement = found.agreement(made.class_index)
    assert 0.6 < agreement < 1
    assert made.confidence.mean() == pytest.approx(agreement, abs=0.02)


def write_head(folder, features, provenance):
    write_text(
        folder / "text.h5", features=features, class_names=list("xyz"), provenance=provenance
    )


@pytest.fixture
def caches(tmp_path):
    rng = np.random.default_rng(0)
    text = rng.normal(size=(3, 8)).astype(np.float32)
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    write_head(tmp_path, text, {**MODEL, "scale": 4.0, "bias": -1.0})
    samples = pd.DataFrame({"id": list("abcdefghij"), "path": list("abcdefghij")})
    views = rng.normal(size=(3, 10, 8)).astype(np.float16)
    write_features(
        tmp_path / "adapt.h5",
        samples=samples,
        versions={"clean": 0, "weak": 2},
        parts=[views],
        provenance={**MODEL, "dataset": "adapt", "index": fingerprint(samples)},
    )
    return tmp_path, text, views


def run(folder, **more):
    pseudo_labels(
        text=folder / "text.h5", features=folder / "adapt.h5", output=folder / "out.h5", **more
    )
    with open_file(folder / "out.h5", kind="pseudo_labels") as file:
        return (
            read_table(file, "pseudo_labels"),
            file["probabilities"][...],
            provenance_of(file),
        )


@pytest.mark.parametrize(("view", "rows"), [("weak", slice(1, 3)), ("clean", slice(0, 1))])
def test_the_stage_labels_by_zero_shot_on_its_view(caches, view, rows):
    folder, text, views = caches
    table, probabilities, provenance = run(folder, labelling=plain(threshold=0.7), view=view)
    expected = np.zeros((10, 3))
    for values in views[rows].astype(np.float64):
        for n, row in enumerate(values):
            exponent = np.exp(4 * text @ row / np.linalg.norm(row) - 1)
            expected[n] += exponent / exponent.sum()
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, expected, atol=1e-3)
    assert probabilities.dtype == np.float16
    assert table["id"].tolist() == list("abcdefghij")
    np.testing.assert_array_equal(table["class_index"], expected.argmax(axis=1))
    np.testing.assert_array_equal(table["selected"], expected.max(axis=1) >= 0.7)
    assert 0 < table["selected"].sum() < 10
    assert json.loads(provenance["labelling"])["threshold"] == 0.7
    assert (provenance["weights"], provenance["dataset"]) == ("3f9a", "adapt")
    assert provenance["text"] == text_fingerprint(text) != text_fingerprint(text[::-1])


def test_the_stage_refuses_features_of_other_weights(caches):
    folder, _, _ = caches
    other = {**MODEL, "weights": "77c1", "scale": 20.0, "bias": 0.0}
    write_head(folder, np.eye(3, 8, dtype=np.float32), other)
    with pytest.raises(LpclipError, match=r"adapt\.h5 was made with weights '3f9a', not '77c1'"):
        run(folder, labelling=plain())
    assert not (folder / "out.h5").exists()


def test_pandas_opens_the_table(caches):
    folder, _, _ = caches
    run(folder, labelling=plain())
    frame = pd.read_hdf(folder / "out.h5", "pseudo_labels")
    assert list(frame) == ["id", "class_index", "confidence", "selected"]
