"""The evaluation's tables, compared with scikit-learn on small features."""

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import entropy
from sklearn import metrics
from sklearn.covariance import LedoitWolf
from sklearn.neighbors import NearestNeighbors

from lpclip.errors import LpclipError
from lpclip.evaluation.detection import evaluate_ood
from lpclip.evaluation.feature_detection import evaluate_features
from lpclip.evaluation.robustness import CLASSES_OF_FIT, evaluate
from lpclip.evaluation.rounds import evaluate_rounds
from lpclip.evaluation.score_bins import score_bins
from lpclip.methods.training.rounds import Round, rounds_table
from lpclip.metrics.effective import FITS
from lpclip.storage.features import write_features as stored_write_features
from lpclip.storage.hdf5 import create
from lpclip.storage.probes import Probes, read_probes, write_probes
from lpclip.storage.samples import fingerprint
from lpclip.storage.tables import write_table

N, C, D, SCALE = 60, 3, 5, 4.0
MODEL = {"model": "tiny", "weights": "3f9a"}
EXPERIMENT = {**MODEL, "benchmark": "digits", "method": "lp_clip"}
NAMES = ("a", "b", "c")
SEVERITIES = [2, 5]


def write_index(path, labels, names=NAMES, prefix="s"):
    samples = pd.DataFrame(
        {
            "id": [f"{prefix}{i}" for i in range(len(labels))],
            "path": "x",
            "label": np.asarray(labels, dtype=np.int32),
        }
    )
    provenance = {
        "dataset": "d",
        "class_names": json.dumps(names and list(names)),
        "source": json.dumps({"kind": "folder"}),
    }
    with create(path, kind="samples", provenance=provenance) as file:
        write_table(file, "samples", samples)
    return samples


def write_features(path, samples, views, *, frost_images=None, official=False, **more):
    """Write a cache of ``[V, N, D]`` views; ``clean`` has one version."""
    versions = {name: 0 if name == "clean" else len(values) for name, values in views.items()}
    corrupted = {
        "severities": SEVERITIES,
        **({"frost_images": frost_images} if frost_images else {}),
        **({"official": True} if official else {}),
    }
    settings = {name: {} if name == "clean" else corrupted for name in views}
    stored_write_features(
        path,
        samples=samples,
        versions=versions,
        parts=[np.concatenate(list(views.values())).astype(np.float16)],
        provenance={
            **MODEL,
            "dataset": "digits-test",
            "index": fingerprint(samples),
            "views": json.dumps(settings),
            **more,
        },
    )


class World:
    def __init__(self, folder):
        rng = np.random.default_rng(0)
        self.folder = folder
        self.labels = np.arange(N) % C
        self.values = np.eye(C, D)[self.labels] + 0.7 * rng.normal(size=(3, N, D))
        self.probes = Probes(
            weight=rng.normal(size=(3, 2, C, D)).astype(np.float32) / 2
            + np.eye(C, D, dtype=np.float32),
            bias=rng.normal(size=(3, 2, C)).astype(np.float32) / 4,
            scale=SCALE,
            class_names=NAMES,
            seeds=(0, 4),
            rounds=rounds_table(
                [Round(r, s, coverage=r / 4, agreement=0.5) for r in range(3) for s in (0, 4)]
            ),
            pseudo_labels=rng.integers(0, C, (3, 2, N)).astype(np.int32),
            selected=rng.random((3, 2, N)) < 0.5,
        )
        write_probes(folder / "probes.h5", self.probes, EXPERIMENT)
        samples = write_index(folder / "samples.h5", self.labels)
        write_features(folder / "clean.h5", samples, {"clean": self.values[:1]})
        write_features(folder / "blur.h5", samples, {"motion_blur": self.values[1:]})

    def logits(self, values, number=-1, seed_index=0):
        unit = values.astype(np.float16).astype(np.float64)
        unit /= np.linalg.norm(unit, axis=-1, keepdims=True)
        probes = self.probes
        return SCALE * unit @ probes.weight[number, seed_index].T + probes.bias[number, seed_index]

    def evaluate(self, features="clean", **more):
        arguments = {"samples": self.folder / "samples.h5", **more}
        evaluate(
            probes=self.folder / "probes.h5",
            features=self.folder / f"{features}.h5",
            output=self.folder / "out.csv",
            **arguments,
        )
        return pd.read_csv(self.folder / "out.csv", keep_default_na=False)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def softmax(logits):
    exponent = np.exp(logits)
    return exponent / exponent.sum(axis=1, keepdims=True)


def test_clean_rows_are_what_scikit_learn_says_of_the_last_round(world):
    table = world.evaluate()
    assert table["seed"].tolist() == [0, 4]
    for seed_index, row in table.iterrows():
        p = softmax(world.logits(world.values[0], seed_index=seed_index))
        assert row["accuracy"] == pytest.approx(metrics.accuracy_score(world.labels, p.argmax(1)))
        assert row["nll"] == pytest.approx(metrics.log_loss(world.labels, p), rel=1e-5)
        brier = np.mean(((p - np.eye(C)[world.labels]) ** 2).sum(axis=1))
        assert row["brier"] == pytest.approx(brier, rel=1e-5)
        assert row["n"] == N
        assert 0 < row["accuracy_low"] < row["accuracy"] < row["accuracy_high"] < 1
    assert table["accuracy"].nunique() == 2
    shown = table[["model", "benchmark", "method", "dataset", "shift", "family"]].iloc[0]
    assert shown.tolist() == ["tiny", "digits", "lp_clip", "digits-test", "clean", "clean"]
    assert table["severity"].tolist() == [0, 0]


def test_a_corruption_has_a_row_per_severity_in_its_family(world):
    table = world.evaluate("blur").set_index(["severity", "seed"])
    assert sorted({severity for severity, _ in table.index}) == SEVERITIES
    for version, severity in enumerate(SEVERITIES):
        predicted = world.logits(world.values[1 + version], seed_index=1).argmax(axis=1)
        row = table.loc[(severity, 4)]
        assert row["accuracy"] == pytest.approx(np.mean(predicted == world.labels))
        assert (row["shift"], row["family"], row["source"]) == ("motion_blur", "blur", "generated")


@pytest.mark.parametrize(
    ("settings", "texture"), [({}, "procedural"), ({"frost_images": "frost/"}, "photographs")]
)
def test_the_texture_of_frost_is_said(world, settings, texture):
    samples = write_index(world.folder / "samples.h5", world.labels)
    views = {"frost": world.values[1:], "fog": world.values[1:]}
    write_features(world.folder / "x.h5", samples, views, **settings)
    table = world.evaluate("x")
    assert set(table.loc[table["shift"] == "frost", "texture"]) == {texture}
    assert set(table.loc[table["shift"] == "fog", "texture"]) == {""}


def test_a_natural_shift_is_named_as_one(world):
    row = world.evaluate(shift="sketches").iloc[0]
    assert (row["shift"], row["family"], row["source"]) == ("sketches", "natural", "natural")
    assert row["severity"] == 0


def test_predictions_on_a_shift_are_among_its_own_classes(world):
    """Classes c and a, in this order, and clean images of the same two for comparison."""
    order, kept = [2, 0], world.labels != 1
    labels = np.where(world.labels[kept] == 2, 0, 1)
    samples = write_index(world.folder / "shift_samples.h5", labels, ("c", "a"), prefix="t")
    values = world.values[1][kept]
    write_features(world.folder / "x.h5", samples, {"clean": values[None]}, dataset="drawings")
    table = world.evaluate(
        "x",
        samples=world.folder / "shift_samples.h5",
        test=world.folder / "clean.h5",
        test_samples=world.folder / "samples.h5",
        shift="drawings",
    ).set_index(["shift", "subset", "seed"])
    assert len(table) == 4
    for seed_index, seed in enumerate((0, 4)):
        for key, pixels in (
            (("drawings", ""), values),
            (("clean", "drawings"), world.values[0][kept]),
        ):
            p = softmax(world.logits(pixels, seed_index=seed_index)[:, order])
            row = table.loc[(*key, seed)]
            assert row["n"] == kept.sum()
            assert row["accuracy"] == pytest.approx(np.mean(p.argmax(axis=1) == labels))
            assert row["nll"] == pytest.approx(metrics.log_loss(labels, p), rel=1e-5)
            assert row["confidence"] == pytest.approx(p.max(axis=1).mean(), rel=1e-5)
    assert set(table["dataset"]) == {"drawings", "digits-test"}
    assert set(table["effective_robustness"]) == {""}


def test_effective_robustness_is_that_above_the_fit(world, monkeypatch):
    monkeypatch.setitem(CLASSES_OF_FIT, "objectnet", C)
    shift = {
        "test": world.folder / "clean.h5",
        "test_samples": world.folder / "samples.h5",
        "shift": "drawings",
    }
    row = world.evaluate(**shift, published="objectnet").iloc[0]
    accuracy = float(row["accuracy"])  # on both, since the shift here is the test set itself
    expected = 1 / (1 + np.exp(-(0.9809 * np.log(accuracy / (1 - accuracy)) - 1.9283)))
    assert float(row["effective_robustness"]) == pytest.approx(accuracy - expected)
    of_200_classes = world.evaluate(**shift, published="imagenet_r")
    assert set(of_200_classes["effective_robustness"]) == {""}


def test_every_fit_says_how_many_classes_it_is_of():
    assert set(CLASSES_OF_FIT) == set(FITS)


def test_any_class_that_an_image_may_have_is_right(world):
    write_index(world.folder / "samples.h5", world.labels % 2, ("a | c", "b"))
    row = world.evaluate(shift="objects").iloc[0]
    predicted = world.logits(world.values[0]).argmax(axis=1)
    assert row["accuracy"] == pytest.approx(np.mean(predicted % 2 == world.labels % 2))
    with pytest.raises(LpclipError, match="needs a label, of one class, for every image"):
        world.evaluate()


def test_without_labels_only_confidence_is_told(world):
    row = world.evaluate(samples=None).iloc[0]
    p = softmax(world.logits(world.values[0]))
    assert (row["n"], row["accuracy"], row["nll"], row["ece"]) == (N, "", "", "")
    assert row["confidence"] == pytest.approx(p.max(axis=1).mean())


def test_published_corruptions_are_official(world):
    samples = write_index(world.folder / "samples.h5", world.labels)
    views = {"frost": world.values[1:]}
    write_features(world.folder / "x.h5", samples, views, official=True)
    table = world.evaluate("x", test_samples=world.folder / "samples.h5")
    assert set(table["source"]) == {"official"}
    assert set(table["texture"]) == {""}
    assert sorted(set(table["severity"])) == SEVERITIES
    other = (world.labels + 1) % 2
    write_index(world.folder / "other.h5", other, prefix="t")
    with pytest.raises(LpclipError, match="other numbers of each class"):
        world.evaluate("x", test_samples=world.folder / "other.h5")


def test_labels_of_other_images_are_refused(world):
    write_index(world.folder / "other.h5", world.labels, prefix="t")
    with pytest.raises(LpclipError, match=r"clean\.h5 was made with index '[0-9a-f]+', not"):
        world.evaluate(samples=world.folder / "other.h5")
    assert not (world.folder / "out.csv").exists()


@pytest.mark.parametrize(
    ("labels", "names", "sentence"),
    [
        (np.arange(N) % 4, "abcd", "its class 'd' is not among the benchmark's 3 class names"),
        (np.arange(N) % 2, "xy", "has 2 classes .x, y., the benchmark 3 class names"),
        (np.arange(N) % 4 - 1, "abc", "needs a label, of one class, for every image"),
        (np.full(N, -1), None, "has no labels"),
    ],
)
def test_labels_that_do_not_fit_the_classes_are_refused(world, labels, names, sentence):
    write_index(world.folder / "samples.h5", labels, names)
    with pytest.raises(LpclipError, match=sentence):
        world.evaluate()


def test_features_of_another_model_are_refused(world):
    samples = write_index(world.folder / "samples.h5", world.labels)
    write_features(world.folder / "x.h5", samples, {"clean": world.values[:1]}, weights="77c1")
    with pytest.raises(LpclipError, match="made with weights '77c1', not '3f9a'"):
        world.evaluate("x")


def beside(world):
    """Write scores from features alone, with 70 other images as the adapt set."""
    known = np.random.default_rng(4).normal(size=(1, 70, D))
    samples = write_index(world.folder / "known_samples.h5", np.full(70, -1), None)
    write_features(world.folder / "known.h5", samples, {"clean": known}, dataset="adapt")
    evaluate_features(
        adapt=world.folder / "known.h5",
        test=world.folder / "clean.h5",
        features=world.folder / "foreign.h5",
        output=world.folder / "of_features.csv",
        curves=world.folder / "curves_of_features.csv",
    )
    return {
        "of_features": world.folder / "of_features.csv",
        "curves_of_features": world.folder / "curves_of_features.csv",
    }


def unit_vectors(values):
    unit = values.astype(np.float16).astype(np.float64)
    return unit / np.linalg.norm(unit, axis=-1, keepdims=True)


def test_distances_to_the_adapt_set_are_those_of_scikit_learn_for_every_seed(world):
    foreign = 1 + np.random.default_rng(3).normal(size=(1, 45, D))
    samples = write_index(world.folder / "foreign_samples.h5", np.full(45, -1), None)
    write_features(world.folder / "foreign.h5", samples, {"clean": foreign}, dataset="photos")
    evaluate_ood(
        probes=world.folder / "probes.h5",
        test=world.folder / "clean.h5",
        features=world.folder / "foreign.h5",
        **beside(world),
        output=world.folder / "ood.csv",
        curves=world.folder / "ood_curves.csv",
        dataset="photos",
        group="far",
    )
    known = unit_vectors(np.random.default_rng(4).normal(size=(70, D)))
    both = unit_vectors(np.concatenate([world.values[0], foreign[0]]))
    distance = NearestNeighbors(n_neighbors=5).fit(known).kneighbors(both)[0][:, -1]
    gaussian = LedoitWolf().fit(known)
    scores = {"nearest_neighbours": -distance, "mahalanobis": -gaussian.mahalanobis(both)}
    table = pd.read_csv(world.folder / "ood.csv").set_index(["score", "seed"])
    for (name, score), seed in product(scores.items(), (0, 4)):
        expected = metrics.roc_auc_score(np.repeat([1, 0], [N, 45]), score)
        assert table.loc[(name, seed), "auroc"] == pytest.approx(expected, abs=1e-6)
        assert np.isnan(table.loc[(name, seed), "temperature"])


def figures_of_features(folder, adapt, test, foreign):
    """Return the rows of ``evaluate_features`` by score, for arrays of features."""
    for name, values in (("adapt", adapt), ("test", test), ("foreign", foreign)):
        samples = write_index(folder / f"{name}_samples.h5", np.full(len(values), -1), None)
        write_features(folder / f"{name}.h5", samples, {"clean": values[None]}, dataset=name)
    files = {name: folder / f"{name}.h5" for name in ("adapt", "test")}
    evaluate_features(
        **files,
        features=folder / "foreign.h5",
        output=folder / "found.csv",
        curves=folder / "curves.csv",
    )
    return pd.read_csv(folder / "found.csv").set_index("score")


@pytest.mark.parametrize("part", ["all", "some"])
def test_images_of_the_adapt_set_are_no_more_familiar_than_others_like_them(tmp_path, part):
    random = np.random.default_rng(7)
    adapt, foreign = random.normal(size=(2, 500, 200))
    # All: a benchmark without a test set. Some: one whose test set is a part of its adapt set.
    test = adapt if part == "all" else adapt[::2]
    found = figures_of_features(tmp_path, adapt, test, foreign)
    assert list(found["n_id"]) == [250, 250]
    standard_error = np.sqrt(751 / (12 * 250 * 500))
    assert (np.abs(found["auroc"] - 0.5) < 3 * standard_error).all(), found
    # The result if images were compared with themselves.
    assert metrics.roc_auc_score(*in_sample(adapt, foreign)) > 0.6


def in_sample(adapt, foreign):
    both = unit_vectors(np.concatenate([adapt, foreign]))
    scores = -LedoitWolf().fit(both[: len(adapt)]).mahalanobis(both)
    return np.repeat([1, 0], [len(adapt), len(foreign)]), scores


def test_without_a_test_set_every_other_image_is_the_reference(tmp_path):
    random = np.random.default_rng(8)
    adapt, foreign = random.normal(size=(101, 6)), random.normal(size=(60, 6)) + 1
    whole = figures_of_features(tmp_path, adapt, adapt, foreign)
    halves = figures_of_features(tmp_path, adapt[::2], adapt[1::2], foreign)
    pd.testing.assert_frame_equal(whole, halves)
    assert list(whole["n_id"]) == [50, 50]


def test_an_adapt_set_of_one_image_has_no_gaussian(world):
    for name, n in (("known", 1), ("foreign", 5)):
        samples = write_index(world.folder / f"{name}_samples.h5", np.full(n, -1), None)
        write_features(world.folder / f"{name}.h5", samples, {"clean": np.ones((1, n, D))})
    evaluate_features(
        adapt=world.folder / "known.h5",
        test=world.folder / "clean.h5",
        features=world.folder / "foreign.h5",
        output=world.folder / "of_features.csv",
        curves=world.folder / "curves_of_features.csv",
    )
    assert list(pd.read_csv(world.folder / "of_features.csv")["score"]) == ["nearest_neighbours"]


def test_detection_is_that_of_scikit_learn_with_the_test_set_as_positive(world):
    foreign = np.random.default_rng(3).normal(size=(1, 45, D))
    samples = write_index(world.folder / "foreign_samples.h5", np.full(45, -1), None)
    write_features(world.folder / "foreign.h5", samples, {"clean": foreign}, dataset="photos")
    evaluate_ood(
        probes=world.folder / "probes.h5",
        test=world.folder / "clean.h5",
        features=world.folder / "foreign.h5",
        **beside(world),
        output=world.folder / "ood.csv",
        curves=world.folder / "ood_curves.csv",
        dataset="photos",
        group="far",
    )
    table = pd.read_csv(world.folder / "ood.csv").set_index(["score", "seed"])
    assert len(table) == 18
    assert set(table["group"]) == {"far"}
    assert set(table["dataset"]) == {"photos"}
    truth = np.repeat([1, 0], [N, 45])
    both = np.concatenate([world.values[0], foreign[0]])
    unit = both.astype(np.float16).astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    for seed_index, seed in enumerate((0, 4)):
        logits = world.logits(both, seed_index=seed_index)
        weight = world.probes.weight[-1, seed_index].astype(np.float64)
        weight /= np.linalg.norm(weight, axis=1, keepdims=True)
        scores = {
            "msp": softmax(logits).max(axis=1),
            "max_logit": logits.max(axis=1),
            "energy": np.log(np.exp(logits).sum(axis=1)),
            "entropy": -entropy(softmax(logits), axis=1),
            "mcm": softmax(unit @ weight.T).max(axis=1),
            "half_way_max_logit": ((logits + world.logits(both, 0, seed_index)) / 2).max(axis=1),
        }
        for name, score in scores.items():
            row = table.loc[(name, seed)]
            assert row["auroc"] == pytest.approx(metrics.roc_auc_score(truth, score), abs=1e-6)
            assert (row["n_id"], row["n_ood"]) == (N, 45)


def rounds(world, adapt_labels, names=NAMES, test_samples="samples.h5"):
    write_index(world.folder / "adapt.h5", adapt_labels, names)
    evaluate_rounds(
        probes=world.folder / "probes.h5",
        test=world.folder / "clean.h5",
        test_samples=test_samples and world.folder / test_samples,
        adapt_samples=world.folder / "adapt.h5",
        output=world.folder / "rounds.csv",
        per_class=world.folder / "per_class.csv",
        confusion=world.folder / "confusion.csv",
    )
    return [pd.read_csv(world.folder / f"{name}.csv") for name in ("rounds", "per_class")]


def test_confusion_counts_the_last_round_s_pseudo_labels_per_true_class(world):
    truth = np.random.default_rng(5).integers(0, C, N)
    truth[:5] = -1
    rounds(world, truth)
    table = pd.read_csv(world.folder / "confusion.csv")
    assert set(table["round"]) == {len(world.probes.weight) - 1}
    for seed_index, seed in enumerate(world.probes.seeds):
        kept = world.probes.selected[-1, seed_index] & (truth >= 0)
        expected = metrics.confusion_matrix(
            truth[kept], world.probes.pseudo_labels[-1, seed_index][kept], labels=range(C)
        )
        found = np.zeros((C, C), dtype=int)
        own = table[table["seed"] == seed]
        found[own["class_index"], own["pseudo_label_index"]] = own["n"]
        assert np.array_equal(found, expected)
        assert (own["n"] > 0).all()


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        (np.random.default_rng(0).normal(1, 1, 300), np.random.default_rng(1).normal(0, 1, 200)),
        (np.ones(300), np.ones(200)),
        (np.repeat([0.5, 1.0], 150), np.random.default_rng(1).uniform(0, 1, 200)),
    ],
    ids=["apart", "all equal", "many equal"],
)
def test_bins_of_scores_hold_every_score_and_give_the_auroc(inside, outside):
    table = pd.DataFrame(score_bins(inside, outside))
    assert (table["n_id"].sum(), table["n_ood"].sum()) == (300, 200)
    assert (table["low"].iloc[0], table["high"].iloc[-1]) == (
        np.concatenate([inside, outside]).min(), np.concatenate([inside, outside]).max(),
    )  # fmt: skip
    truth = np.repeat([1, 0], [300, 200])
    exact = metrics.roc_auc_score(truth, np.concatenate([inside, outside]))
    bins = np.tile(table["bin"], 2)
    weight = np.concatenate([table["n_id"], table["n_ood"]])
    of_bins = metrics.roc_auc_score(np.repeat([1, 0], len(table)), bins, sample_weight=weight)
    assert of_bins == pytest.approx(exact, abs=0.02)


def test_every_round_is_judged_on_the_test_set_and_its_pseudo_labels_by_the_truth(world):
    truth = np.random.default_rng(5).integers(0, C, N)
    table, _ = rounds(world, truth)
    assert len(table) == 6
    for row in table.to_dict("records"):
        seed_index = world.probes.seeds.index(row["seed"])
        predicted = world.logits(world.values[0], row["round"], seed_index).argmax(axis=1)
        assert row["test_accuracy"] == pytest.approx(np.mean(predicted == world.labels))
        if row["round"] == 0:
            assert np.isnan(row["pseudo_label_accuracy"])
        else:
            kept = world.probes.selected[row["round"], seed_index]
            labels = world.probes.pseudo_labels[row["round"], seed_index]
            assert row["pseudo_label_accuracy"] == pytest.approx(np.mean((labels == truth)[kept]))
            assert row["coverage"] == row["round"] / 4


def test_without_labels_of_the_adapt_set_pseudo_labels_are_not_judged(world):
    table, _ = rounds(world, np.full(N, -1))
    assert table["pseudo_label_accuracy"].isna().all()
    assert table["test_accuracy"].notna().all()


def test_labels_of_other_classes_do_not_judge_pseudo_labels(world):
    table, _ = rounds(world, np.arange(N) % 2, ("x", "y"))
    assert table["pseudo_label_accuracy"].isna().all()


def test_without_a_labelled_test_set_rounds_and_classes_have_no_accuracy(world):
    table, classes = rounds(world, world.labels, test_samples=None)
    assert table["test_accuracy"].isna().all()
    assert table["pseudo_label_accuracy"].notna().sum() == 4
    assert classes[["n", "accuracy"]].isna().all(axis=None)
    assert classes.groupby("seed")["predicted_share"].sum().tolist() == pytest.approx([1, 1])


def test_classes_are_told_apart_for_the_last_round(world):
    _, table = rounds(world, world.labels)
    assert len(table) == 2 * C
    for seed_index, seed in enumerate((0, 4)):
        predicted = world.logits(world.values[0], -1, seed_index).argmax(axis=1)
        recall = metrics.recall_score(world.labels, predicted, average=None)
        own = table[table["seed"] == seed]
        np.testing.assert_allclose(own["accuracy"], recall)
        np.testing.assert_allclose(own["predicted_share"], np.bincount(predicted, minlength=C) / N)
        assert own["class_name"].tolist() == list(NAMES)


def test_the_same_evaluation_writes_the_same_bytes(world):
    world.evaluate("blur")
    before = (world.folder / "out.csv").read_bytes()
    world.evaluate("blur")
    assert (world.folder / "out.csv").read_bytes() == before


def ensemble(world):
    """Replace the last round's probe by three members per seed."""
    noise = np.random.default_rng(8).normal(size=(2, 3, C, D)).astype(np.float32)
    members = world.probes.weight[-1][:, None] + noise
    bias = np.zeros((2, 3, C), dtype=np.float32)
    probes = replace(world.probes, member_weight=members, member_bias=bias)
    write_probes(world.folder / "probes.h5", probes, EXPERIMENT)
    unit = world.values[0].astype(np.float16).astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    return [
        np.mean([softmax(SCALE * unit @ weight.T) for weight in members[seed_index]], axis=0)
        for seed_index in range(2)
    ]


def test_an_ensemble_is_judged_by_the_mean_of_its_members_probabilities(world):
    probabilities = ensemble(world)
    table = world.evaluate()
    last = rounds(world, world.labels)[0].set_index(["round", "seed"])
    for (seed_index, row), seed in zip(table.iterrows(), (0, 4), strict=True):
        p = probabilities[seed_index]
        right = np.mean(p.argmax(axis=1) == world.labels)
        assert row["accuracy"] == pytest.approx(right)
        assert row["nll"] == pytest.approx(metrics.log_loss(world.labels, p), rel=1e-5)
        assert last.loc[(2, seed), "test_accuracy"] == pytest.approx(right)
        before = world.logits(world.values[0], 1, seed_index).argmax(axis=1)
        assert last.loc[(1, seed), "test_accuracy"] == pytest.approx(
            np.mean(before == world.labels)
        )


def test_msp_of_an_ensemble_is_that_of_the_mean_probabilities(world):
    probabilities = ensemble(world)
    samples = write_index(world.folder / "foreign_samples.h5", np.full(N, -1), None)
    write_features(world.folder / "foreign.h5", samples, {"clean": world.values[1:2] ** 3})
    evaluate_ood(
        probes=world.folder / "probes.h5",
        test=world.folder / "clean.h5",
        features=world.folder / "foreign.h5",
        **beside(world),
        output=world.folder / "ood.csv",
        curves=world.folder / "ood_curves.csv",
        dataset="cubes",
        group="far",
    )
    table = pd.read_csv(world.folder / "ood.csv").set_index(["score", "seed"])
    probes, _ = read_probes(world.folder / "probes.h5")
    unit = (world.values[1] ** 3).astype(np.float16).astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    for seed_index, seed in enumerate((0, 4)):
        outside = np.mean(
            [softmax(SCALE * unit @ weight.T) for weight in probes.member_weight[seed_index]],
            axis=0,
        )
        scores = np.concatenate([probabilities[seed_index].max(axis=1), outside.max(axis=1)])
        expected = metrics.roc_auc_score(np.repeat([1, 0], N), scores)
        assert table.loc[("msp", seed), "auroc"] == pytest.approx(expected, abs=1e-6)
