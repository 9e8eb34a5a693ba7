"""A benchmark whose methods also adapt on the test images, with kinds that predict only these."""

import copy
import re
import shutil

import numpy as np
import pandas as pd
import pytest

import lpclip
from tests.helpers import ROOT, copy_workflow
from tests.helpers.runs import planned, snakemake, write

N, C, D, SCALE = 90, 3, 12, 12.0

CONFIG = {
    "seeds": [0, 1],
    "models": {"mine": {"architecture": "x", "pretrained": "precomputed", "scale": SCALE}},
    "datasets": {
        name: {"source": {"kind": "features", "path": "f.npz", "key": name, "labels": "labels"}}
        for name in ("adapt", "test")
    },
    "benchmarks": {
        "shapes": {
            "class_names": ["0", "1", "2"],
            "text_features": {"path": "f.npz", "key": "text"},
            "adapt": "adapt",
            "test": "test",
            "corruptions": [],
            "transductive": True,
        }
    },
    "labellings": {"plain": {"threshold": 0.4, "prior": "align"}},
    "methods": {
        "zero_shot": {"kind": "zero_shot"},
        "lp_clip": {
            "kind": "self_training",
            "labelling": "plain",
            "rounds": 2,
            "optimisation": {"epochs": 4, "learning_rate": 0.01},
        },
        "guarded": {"kind": "guarded", "candidates": ["lp_clip"]},
        "means": {"kind": "means_of_pool"},
        "means_and_head": {"kind": "means_and_head"},
    },
}
INDUCTIVE = ["zero_shot", "lp_clip", "guarded", "means_and_head"]
TRANSDUCTIVE = ["zero_shot", "lp_clip", "guarded", "means", "means_and_head"]
SHARP = 40.0

# Kinds that predict their pool by its distance to means; one also has the head of the means.
KIND = '''"""A stand-in for methods that predict their pool."""

from lpclip.utils.settings import settings_class

NEEDS = ("clean",)
PREDICTS, SHARP = "{predicts}", 40.0


@settings_class
class Settings:
    """None."""


def fit(head, inputs, settings, seeds):
    """Predict by means; see the test."""
    import numpy as np
    from scipy.special import softmax

    from lpclip.methods.base import after_zero_shot
    from lpclip.methods.training.rounds import Round, rounds_table
    from lpclip.storage.features import read_features
    from lpclip.storage.probes import Probes

    values = read_features(inputs["clean"], "clean", expected=head.expected)
    own = softmax(head.scale * values @ head.weight.T, axis=-1)
    means = own.T @ values
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    pool = np.stack([softmax(SHARP * values @ means.T, axis=-1)] * len(seeds))
    weight = np.stack([means[None]] * len(seeds)).astype(np.float32)
    bias = np.zeros(weight.shape[:-1], np.float32)
    found = after_zero_shot(head, weight, bias, seeds, seen=None)
    n = 1 if PREDICTS == "pool" else 2
    return Probes(**vars(found) | {{
        "weight": found.weight[:n], "bias": found.bias[:n], "pool_probabilities": pool
    }})
'''


def write_features(path):
    """Clusters, and text features biased towards the first class."""
    rng = np.random.default_rng(0)
    centres = np.linalg.qr(rng.normal(size=(D, D)))[0][:C]
    labels = np.arange(N) % C
    arrays = {name: centres[labels] + 0.35 * rng.normal(size=(N, D)) for name in ("adapt", "test")}
    arrays["text"] = centres + 1.1 * centres[0] + 0.2 * rng.normal(size=(C, D))
    arrays = {name: values.astype(np.float32) for name, values in arrays.items()}
    np.savez(path, **arrays, labels=labels)


def prepare(folder):
    folder.mkdir()
    copy_workflow(folder)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "lpclip", folder / "lpclip", ignore=ignored)
    kinds = folder / "lpclip/methods/kinds"
    (kinds / "means_of_pool.py").write_text(KIND.format(predicts="pool"))
    (kinds / "means_and_head.py").write_text(KIND.format(predicts="images"))
    write_features(folder / "f.npz")
    write(folder, CONFIG)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = prepare(tmp_path_factory.mktemp("transductive") / "run")
    (folder / "printed.txt").write_text(snakemake(folder, code=folder))
    return folder


def unit(values):
    """Of unit length, rounded as in a cache (text features are not)."""
    values = values.astype(np.float16).astype(np.float64)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def by_means(arrays, *, pool, evaluated, scale):
    """Probabilities of the stand-ins, written anew: class means weighted by zero-shot."""
    text = unit(arrays["text"])
    own = softmax(SCALE * unit(arrays[pool]) @ text.T)
    means = own.T @ unit(arrays[pool])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    return softmax(scale * unit(arrays[evaluated]) @ means.T)


def softmax(logits):
    exponent = np.exp(logits)
    return exponent / exponent.sum(axis=1, keepdims=True)


def test_each_setting_has_rows_of_its_own_for_the_methods_that_it_allows(finished):
    report = lpclip.read_report(finished / "results/report.csv")
    found = {name: rows.set_index("method") for name, rows in report.groupby("benchmark")}
    assert found.keys() == {"shapes", "shapes_transductive"}
    assert list(found["shapes"].index) == INDUCTIVE
    assert list(found["shapes_transductive"].index) == TRANSDUCTIVE
    assert (found["shapes_transductive"]["n_labels"] == 0).all()
    predicts = found["shapes_transductive"]["predicts"]
    assert list(predicts[predicts == "pool"].index) == ["means"]
    # Zero-shot adapts on nothing.
    accuracies = [rows.loc["zero_shot", "accuracy"] for rows in found.values()]
    assert accuracies[0] == accuracies[1]


@pytest.mark.parametrize(
    ("benchmark", "method", "pool", "scale"),
    [
        ("shapes_transductive", "means", "test", SHARP),
        ("shapes_transductive", "means_and_head", "test", SHARP),
        # The head predicts images that it was not adapted on.
        ("shapes", "means_and_head", "adapt", SCALE),
    ],
)
def test_figures_are_those_of_predictions_that_are_computed_anew(
    finished, benchmark, method, pool, scale
):
    with np.load(finished / "f.npz") as arrays:
        expected = by_means(arrays, pool=pool, evaluated="test", scale=scale)
        labels = arrays["labels"]
        zero_shot = softmax(SCALE * unit(arrays["test"]) @ unit(arrays["text"]).T).argmax(axis=1)
    accuracy = (expected.argmax(axis=1) == labels).mean()
    gain = accuracy - (zero_shot == labels).mean()
    tables = {}
    for name in ("report", "robustness", "comparisons", "rounds", "per_class"):
        table = lpclip.read_report(finished / f"results/{name}.csv")
        own = (table["benchmark"] == benchmark) & (table["method"] == method)
        tables[name] = table[own]
    assert tables["report"]["accuracy"].iloc[0] == pytest.approx(accuracy, abs=1e-6)
    confidence = expected.max(axis=1).mean()
    assert tables["robustness"]["confidence"].iloc[0] == pytest.approx(confidence, abs=2e-4)
    assert tables["comparisons"]["difference"].tolist() == pytest.approx([gain], abs=1e-6)
    rounds = tables["rounds"].query("seed == 0").set_index("round")["test_accuracy"]
    assert rounds.tolist() == pytest.approx([accuracy - gain, accuracy], abs=1e-6)
    of_class = tables["per_class"].query("seed == 0")["accuracy"]
    assert of_class.mean() == pytest.approx(accuracy, abs=1e-6)  # equally many images of each
    for seed in (0, 1):
        key = f"mine/{benchmark}/{method}/seed_{seed}"
        table = pd.read_hdf(finished / "results/predictions.h5", key)
        assert table["prediction"].tolist() == expected.argmax(axis=1).tolist()


def test_a_head_that_adapted_on_the_test_images_differs_and_gains(finished):
    with np.load(finished / "f.npz") as arrays:
        features, labels = arrays["test"], arrays["labels"]
    report = lpclip.read_report(finished / "results/report.csv").set_index(["benchmark", "method"])
    heads = {}
    for benchmark in ("shapes", "shapes_transductive"):
        path = finished / f"results/mine/{benchmark}/lp_clip/probes.h5"
        heads[benchmark] = [lpclip.load_probe(path, seed=seed) for seed in (0, 1)]
        logits = [head.logits(features.astype(np.float16)) for head in heads[benchmark]]
        right = [(one.argmax(axis=1) == labels).mean() for one in logits]
        row = report.loc[(benchmark, "lp_clip")]
        assert row["accuracy"] == pytest.approx(np.mean(right), abs=1e-6)
        assert row["accuracy"] > report.loc[(benchmark, "zero_shot"), "accuracy"]
    first, second = (found[0].weight for found in heads.values())
    assert np.abs(first - second).max() > 1e-3


def test_no_job_that_trains_on_the_test_images_can_read_a_label(finished):
    printed = snakemake(finished, "-n", "--forceall", code=finished)
    pattern = r"rule (?:train_probe|pseudo_labels):\n\s+input: (.*)\n\s+output: (.*)"
    read = {output: set(inputs.split(", ")) for inputs, output in re.findall(pattern, printed)}
    results = "results/mine/shapes_transductive"
    text, test = "cache/mine/text/shapes.h5", "cache/mine/images/test/clean.h5"
    labels, probes = f"{results}/pseudo_labels/plain.h5", f"{results}/lp_clip/probes.h5"
    assert {output: read[output] for output in read if results in output} == {
        labels: {text, test},
        f"{results}/zero_shot/probes.h5": {text},
        probes: {text, test, labels},
        f"{results}/guarded/probes.h5": {text, test},
        f"{results}/means/probes.h5": {text, test},
        f"{results}/means_and_head/probes.h5": {text, test},
    }


def test_summary_and_page_name_the_setting_and_the_methods_of_the_pool_alone(finished):
    caption = "Transductive: the unlabelled images are the test images."
    alone = "Predictions for the unlabelled images alone, no head: means."
    printed = (finished / "printed.txt").read_text()
    inductive, transductive = printed.split("\nshapes_transductive, model mine")
    assert caption not in inductive
    assert f"{caption}\n{alone}" in transductive
    assert f"{caption} {alone}" in (finished / "results/report.html").read_text()


def test_nothing_is_left_to_do_and_the_setting_changes_only_reports_elsewhere(finished):
    assert planned(finished, code=finished) == {}
    config = copy.deepcopy(CONFIG)
    del config["benchmarks"]["shapes"]["transductive"], config["methods"]["means"]
    write(finished, config)
    try:
        assert planned(finished, code=finished) == {"report": 1, "predictions": 1, "page": 1}
    finally:
        write(finished, CONFIG)
