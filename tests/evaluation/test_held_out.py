"""OOD scores on held-out classes: computed again with scikit-learn, and invariances."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from lpclip.columns.held_out import OOD_HELD_OUT
from lpclip.evaluation.held_out import evaluate_held_out, held_out_auroc
from lpclip.methods.training.rounds import Round, rounds_table
from lpclip.ood_score_names import SCORES
from lpclip.storage.features import normalise, write_features
from lpclip.storage.probes import Probes, write_probes
from lpclip.storage.samples import fingerprint

MODEL = {"model": "tiny", "weights": "3f9a"}
SCALE, D = 8.0, 12


def unit(values):
    return normalise(np.asarray(values, np.float32))


def case(c, n=300, seed=0, noise=0.25, n_seeds=1):
    """Return features around C directions, and heads of two rounds with these directions."""
    random = np.random.default_rng(seed)
    means = unit(random.normal(size=(c, D)))
    features = unit(means[random.integers(c, size=n)] + noise * random.normal(size=(n, D)))
    weight = means + 0.1 * random.normal(size=(2, n_seeds, c, D))
    heads = Probes(
        weight=weight.astype(np.float32),
        bias=0.1 * random.normal(size=(2, n_seeds, c)).astype(np.float32),
        scale=SCALE,
        class_names=tuple(map(str, range(c))),
        seeds=tuple(range(n_seeds)),
        rounds=rounds_table([Round(r, s) for r in (0, 1) for s in range(n_seeds)]),
    )
    return heads, features


def by_hand(heads, features, groups):
    """Compute the AUROC of three scores, with each group of classes held out in turn."""
    weight, bias = heads.weight[-1, 0], heads.bias[-1, 0]
    predicted = (SCALE * features @ weight.T + bias).argmax(axis=1)
    scored = np.arange(len(features)) % 2 == 1
    found = {"max_logit": [], "msp": [], "nearest_neighbours": []}
    for group in groups:
        kept = [c for c in range(len(weight)) if c not in group]
        known = np.isin(predicted, kept)
        logits = SCALE * features[scored] @ weight[kept].T + bias[kept]
        references = features[~scored & known]
        distances = np.linalg.norm(features[scored][:, None] - references, axis=-1)
        scores = {
            "max_logit": logits.max(axis=1),
            "msp": softmax(logits, axis=1).max(axis=1),
            "nearest_neighbours": -np.sort(distances, axis=1)[:, 4],
        }
        for name, values in scores.items():
            found[name].append(roc_auc_score(known[scored], values))
    return {name: np.mean(values) for name, values in found.items()}


@pytest.mark.parametrize(
    ("c", "groups"),
    [(3, [[0], [1], [2]]), (12, [[0, 10], [1, 11], *([i] for i in range(2, 10))])],
)
def test_it_is_the_auroc_of_every_group_of_classes_held_out(c, groups):
    heads, features = case(c)
    found = held_out_auroc(heads, features)
    assert set(found) == set(SCORES)
    for name, expected in by_hand(heads, features, groups).items():
        assert found[name]["auroc"] == pytest.approx(expected, abs=1e-6)
        assert found[name]["n_groups"] == len(groups)
        assert found[name]["n_images"] == 150


def test_one_class_cannot_be_held_out():
    heads, features = case(1)
    assert held_out_auroc(heads, features) == {}


def test_a_group_that_no_image_is_of_is_left_out():
    heads, features = case(3)
    bias = heads.bias.copy()
    bias[..., 2] = -100
    assert {
        row["n_groups"] for row in held_out_auroc(replace(heads, bias=bias), features).values()
    } == {2}
    bias[..., 1] = -100
    assert held_out_auroc(replace(heads, bias=bias), features) == {}


def test_large_sets_are_thinned_out(monkeypatch):
    heads, features = case(4, n=1000)
    monkeypatch.setattr("lpclip.evaluation.held_out._IMAGES", 400)
    thinned = held_out_auroc(heads, features)
    monkeypatch.undo()
    assert thinned == held_out_auroc(heads, features[::3])
    assert thinned != held_out_auroc(heads, features)


def test_members_of_an_ensemble_lose_the_class_too():
    heads, features = case(3)
    weight = np.stack([heads.weight[-1], heads.weight[-1]], axis=1)
    bias = np.stack([heads.bias[-1], heads.bias[-1]], axis=1)
    ensemble = held_out_auroc(replace(heads, member_weight=weight, member_bias=bias), features)
    for name, row in held_out_auroc(heads, features).items():
        assert ensemble[name]["auroc"] == pytest.approx(row["auroc"], abs=1e-4)


@pytest.mark.parametrize("c", [4, 1])
def test_the_file_has_a_row_per_seed_and_score(tmp_path, c):
    heads, features = case(c, n_seeds=2)
    write_probes(tmp_path / "probes.h5", heads, {**MODEL, "benchmark": "b", "method": "m"})
    samples = pd.DataFrame({"id": [f"s{i}" for i in range(len(features))], "path": "x"})
    write_features(
        tmp_path / "clean.h5",
        samples=samples,
        versions={"clean": 0},
        parts=[features[None].astype(np.float16)],
        provenance={**MODEL, "dataset": "d", "index": fingerprint(samples), "views": "{}"},
    )
    output = tmp_path / "held_out.csv"
    evaluate_held_out(probes=tmp_path / "probes.h5", adapt=tmp_path / "clean.h5", output=output)
    table = pd.read_csv(output)
    assert tuple(table) == OOD_HELD_OUT.names
    assert len(table) == (2 * len(SCORES) if c > 1 else 0)
    if c > 1:
        assert table.groupby("seed")["auroc"].first().nunique() == 2
