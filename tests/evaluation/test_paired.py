"""Paired comparisons with zero-shot: the same images, metric definitions, all in one table."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lpclip.columns.paired import COMPARISONS, PREDICTIONS, RELIABILITY
from lpclip.columns.table import STANDARD_MEAN
from lpclip.corruption_names import FAMILIES, STANDARD
from lpclip.evaluation.paired import decides_as_zero_shot, evaluate_samples
from lpclip.evaluation.predictions import predictions
from lpclip.methods.training.rounds import Round, rounds_table
from lpclip.metrics.calibration import expected_calibration_error
from lpclip.metrics.comparison import paired_comparison
from lpclip.storage.features import read_features, write_features
from lpclip.storage.hdf5 import create
from lpclip.storage.probes import Probes, write_probes
from lpclip.storage.samples import fingerprint
from lpclip.storage.tables import write_table

N, C, D, SEEDS = 60, 4, 6, (0, 1)
NAMES = [f"class {index}" for index in range(C)]
MODEL = {"model": "tiny", "weights": "77c1"}
random = np.random.default_rng(0)


def write_set(folder, name, *, labels, views, class_names=NAMES):
    """Write index and cache of a dataset with features around its classes; return both paths."""
    table = pd.DataFrame(
        {"id": [f"{name}-{i}" for i in range(len(labels))], "path": "x", "label": labels}
    )
    index = fingerprint(table)
    samples, features = folder / f"{name}.samples.h5", folder / f"{name}-{len(views)}.h5"
    provenance = {
        "dataset": name, "class_names": json.dumps(class_names), "index": index,
        "source": json.dumps({"kind": "folder"}),
    }  # fmt: skip
    with create(samples, kind="samples", provenance=provenance) as file:
        write_table(file, "samples", table)
    part = np.concatenate(list(views.values())).astype(np.float16)
    write_features(
        features,
        samples=table,
        versions={view: 0 if view == "clean" else len(values) for view, values in views.items()},
        parts=[part],
        provenance={
            **MODEL, "dataset": name, "index": index,
            "views": json.dumps({view: {} for view in views}),
        },
    )  # fmt: skip
    return samples, features


def noisy(labels, versions=1):
    centres = np.eye(C, D)[np.maximum(labels, 0)]
    return centres + 0.6 * random.normal(size=(versions, len(labels), D))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    labels = random.integers(C, size=N)
    clean = noisy(labels)
    samples, features = write_set(folder, "test", labels=labels, views={"clean": clean})
    dirty = {name: noisy(labels, 5) for names in FAMILIES.values() for name in sorted(names)}
    dirty = dict(sorted(dirty.items()))
    _, corrupted = write_set(folder, "test", labels=labels, views=dirty)
    weight = np.stack([np.eye(C, D) + 0.5 * random.normal(size=(2, C, D)) for _ in range(2)])
    weight[0] = weight[0, :1]  # zero-shot is the same for every seed
    probes = Probes(
        weight=weight.astype(np.float32),
        bias=np.zeros((2, 2, C), np.float32),
        scale=5.0,
        class_names=tuple(NAMES),
        seeds=SEEDS,
        rounds=rounds_table([Round(number, seed) for number in (0, 1) for seed in SEEDS]),
    )
    provenance = {**MODEL, "benchmark": "digits", "method": "lp_clip"}
    write_probes(folder / "probes.h5", probes, provenance)
    outputs = {
        "output": folder / "comparisons.csv",
        "reliability": folder / "reliability.csv",
        "predictions": folder / "predictions.h5",
    }
    arguments = {"probes": folder / "probes.h5", "test": "test", **outputs}
    evaluate_samples(**arguments, features=[features, corrupted], samples=[samples])
    return {
        "arguments": arguments, "probes": probes, "labels": labels, "samples": samples,
        "features": features, "corrupted": corrupted, "folder": folder,
        "comparisons": pd.read_csv(outputs["output"]),
        "reliability": pd.read_csv(outputs["reliability"]),
    }  # fmt: skip


def probabilities(made, path, view, version, number, seed_index):
    values = read_features(path, view, expected=MODEL)
    values = values if version is None else values[version]
    logits = made["probes"].scale * values @ made["probes"].weight[number, seed_index].T
    logits = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return logits / logits.sum(axis=-1, keepdims=True)


def correct(made, path, view, version, number, seed_index):
    return probabilities(made, path, view, version, number, seed_index).argmax(-1) == made["labels"]


def test_the_clean_difference_is_that_of_the_accuracies_on_the_same_images(made):
    row = made["comparisons"].query("shift == 'clean'").iloc[0]
    method = np.stack([correct(made, made["features"], "clean", None, 1, s) for s in (0, 1)])
    zero_shot = correct(made, made["features"], "clean", None, 0, 0)
    assert row["n"] == N
    assert row["n_seeds"] == 2
    assert row["difference"] == pytest.approx(method.mean() - zero_shot.mean(), abs=1e-8)
    assert row["only_method"] == pytest.approx((method & ~zero_shot).sum() / 2)
    assert row["only_zero_shot"] == pytest.approx((zero_shot & ~method).sum() / 2)
    assert row["difference_low"] < row["difference"] < row["difference_high"]


def compared_heads(made, folder, change):
    """Return the clean row of comparisons.csv for a last round that is zero-shot, changed."""
    first = made["probes"].weight[0, 0]
    weight = np.stack([np.stack([first] * 2), np.stack([change(first)] * 2)])
    probes = replace(made["probes"], weight=weight.astype(np.float32))
    write_probes(folder / "probes.h5", probes, {**MODEL, "benchmark": "b", "method": "m"})
    arguments = made["arguments"] | {
        "probes": folder / "probes.h5", "output": folder / "c.csv",
        "reliability": folder / "r.csv", "predictions": folder / "p.h5",
    }  # fmt: skip
    evaluate_samples(**arguments, features=[made["features"]], samples=[made["samples"]])
    row = pd.read_csv(folder / "c.csv").iloc[0]
    assert row["difference"] == row["only_method"] == row["only_zero_shot"] == 0
    return row


@pytest.mark.parametrize("factor", [1, 0.37, 41.7])
def test_zero_shot_differs_from_itself_at_any_temperature_by_exactly_nothing(
    made, tmp_path, factor
):
    row = compared_heads(made, tmp_path, lambda weight: weight * np.float32(factor))
    assert row["difference_low"] == row["difference_high"] == 0


def test_another_head_that_is_right_on_the_same_images_might_differ_on_others(made, tmp_path):
    row = compared_heads(made, tmp_path, lambda weight: weight + 1e-4 * np.eye(C, D))
    assert row["difference_low"] < 0 < row["difference_high"]


def test_one_member_that_decides_otherwise_makes_another_head(made):
    first = made["probes"].weight[:1, :1]
    weight = np.repeat(np.repeat(first, 2, axis=0), 2, axis=1)
    members = np.stack([weight[-1], 2 * weight[-1]], axis=1)
    heads = replace(
        made["probes"], weight=weight, member_weight=members,
        member_bias=np.zeros((2, 2, C), np.float32),
    )  # fmt: skip
    assert decides_as_zero_shot(heads)
    members[1, 1, 0, 0] += 0.1
    assert not decides_as_zero_shot(heads)
    assert not decides_as_zero_shot(replace(heads, member_weight=-members))


def test_the_mean_over_corruptions_draws_images_with_all_their_corruptions(made):
    row = made["comparisons"].query(f"shift == '{STANDARD_MEAN}'").iloc[0]
    method, zero_shot = [], []
    for name in STANDARD:
        for version in range(5):
            for seed in (0, 1):
                method.append(correct(made, made["corrupted"], name, version, 1, seed))
                zero_shot.append(correct(made, made["corrupted"], name, version, 0, 0))
    expected = paired_comparison(np.stack(method), np.stack(zero_shot))
    for key in ("n", "difference", "difference_low", "difference_high"):
        assert row[key] == pytest.approx(expected[key], abs=1e-8)
    # Images are resampled, not predictions: 150 predictions for one image are not 150 images.
    alone = made["comparisons"].query("shift == 'fog' and severity == 3").iloc[0]
    assert row["difference_high"] - row["difference_low"] > 0.3 * (
        alone["difference_high"] - alone["difference_low"]
    )


def test_there_is_a_row_per_shift_and_severity(made):
    table = made["comparisons"]
    assert len(table) == 1 + 19 * 5 + 1
    assert table["severity"].isna().sum() == 1
    assert not table.duplicated(["shift", "source", "severity"]).any()


def test_without_all_corruptions_there_is_no_mean_over_them(made, tmp_path):
    arguments = made["arguments"] | {"output": tmp_path / "c.csv"}
    evaluate_samples(**arguments, features=[made["features"]], samples=[made["samples"]])
    assert pd.read_csv(tmp_path / "c.csv")["shift"].tolist() == ["clean"]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_bins_give_the_calibration_error(made, seed):
    rows = made["reliability"].query(f"shift == 'clean' and seed == {seed}")
    assert rows["n"].sum() == N
    shares = rows["n"] / N
    found = (shares * (rows["accuracy"] - rows["confidence"]).abs()).sum()
    clean = probabilities(made, made["features"], "clean", None, 1, seed)
    assert found == pytest.approx(expected_calibration_error(clean, made["labels"]), abs=1e-6)
    assert ((rows["low"] < rows["confidence"]) & (rows["confidence"] <= rows["high"] + 1e-6)).all()


def test_the_standard_corruptions_of_a_severity_are_pooled(made):
    rows = made["reliability"].query(f"shift == '{STANDARD_MEAN}' and seed == 0")
    assert rows.groupby("severity")["n"].sum().tolist() == [15 * N] * 5


def test_pandas_opens_the_predictions_of_every_experiment(made, tmp_path):
    predictions(parts=[made["arguments"]["predictions"]], output=tmp_path / "all.h5")
    for seed in SEEDS:
        table = pd.read_hdf(tmp_path / "all.h5", f"tiny/digits/lp_clip/seed_{seed}")
        clean = probabilities(made, made["features"], "clean", None, 1, seed)
        assert table["id"].tolist() == [f"test-{i}" for i in range(N)]
        assert table["label"].tolist() == made["labels"].tolist()
        assert table["prediction"].tolist() == clean.argmax(-1).tolist()
        np.testing.assert_allclose(table["confidence"], clean.max(-1), atol=1e-6)


def test_without_labels_there_are_predictions_alone(made, tmp_path):
    arguments = made["arguments"] | {
        "output": tmp_path / "c.csv", "reliability": tmp_path / "r.csv",
        "predictions": tmp_path / "p.h5",
    }  # fmt: skip
    evaluate_samples(**arguments, features=[made["features"]], samples=[])
    assert (tmp_path / "c.csv").read_text() == ",".join(COMPARISONS.names) + "\n"
    assert (tmp_path / "r.csv").read_text() == ",".join(RELIABILITY.names) + "\n"
    table = pd.read_hdf(tmp_path / "p.h5", "seed_0")
    assert set(table["label"]) == {-1}
    assert len(table) == N


def test_a_natural_shift_of_some_classes_is_compared_within_these(made, tmp_path):
    labels = random.integers(2, size=30)
    samples, features = write_set(
        tmp_path, "sketches", labels=labels, views={"clean": noisy(labels)},
        class_names=NAMES[:2],
    )  # fmt: skip
    arguments = made["arguments"] | {"output": tmp_path / "c.csv"}
    evaluate_samples(
        **arguments,
        features=[made["features"], features],
        samples=[made["samples"], samples],
        shifts=["sketches"],
    )
    row = pd.read_csv(tmp_path / "c.csv").query("shift == 'sketches'").iloc[0]
    assert (row["family"], row["source"], row["n"]) == ("natural", "natural", 30)
    values = read_features(features, "clean", expected=MODEL)
    weight = made["probes"].weight
    method = np.mean([(values @ weight[1, s, :2].T).argmax(-1) == labels for s in (0, 1)])
    zero_shot = np.mean((values @ weight[0, 0, :2].T).argmax(-1) == labels)
    assert row["difference"] == pytest.approx(method - zero_shot, abs=1e-8)


def test_a_table_of_predictions_has_the_columns_that_are_documented(made):
    table = pd.read_hdf(made["arguments"]["predictions"], "seed_0")
    assert tuple(table.columns) == PREDICTIONS.names
