"""Whatever fits in memory, evaluations are the same."""

import numpy as np
import pandas as pd
import pytest

from lpclip.evaluation.detection import evaluate_ood
from lpclip.evaluation.feature_detection import evaluate_features
from lpclip.evaluation.held_out import evaluate_held_out
from lpclip.evaluation.paired import evaluate_samples
from lpclip.evaluation.robustness import evaluate
from lpclip.evaluation.rounds import evaluate_rounds
from lpclip.methods.train import train_probe
from tests.helpers.little_memory import make_files, with_little_memory


@pytest.fixture(scope="module", params=["gaussian", "transclip"])
def folder(tmp_path_factory, request):
    """Return a folder with the files of a method, of which one predicts its pool in its own way."""
    made = tmp_path_factory.mktemp("memory")
    make_files(made)
    train_probe(
        text=made / "text.h5",
        adapt=made / "adapt.h5",
        output=made / "probes.h5",
        benchmark="b",
        method="m",
        kind=request.param,
        seeds=[0],
        settings={},
    )
    return made


@pytest.fixture
def little(monkeypatch):
    yield from with_little_memory(monkeypatch)


def robustness(folder, out):
    evaluate(
        probes=folder / "probes.h5",
        features=folder / "clean.h5",
        samples=folder / "samples.h5",
        output=out / "robustness.csv",
    )


def detection(folder, out):
    evaluate_features(
        adapt=folder / "clean.h5",
        test=folder / "clean.h5",
        features=folder / "ood.h5",
        output=out / "of_features.csv",
        curves=out / "curves_of_features.csv",
    )
    evaluate_ood(
        probes=folder / "probes.h5",
        test=folder / "clean.h5",
        features=folder / "ood.h5",
        of_features=out / "of_features.csv",
        curves_of_features=out / "curves_of_features.csv",
        output=out / "ood.csv",
        curves=out / "curves.csv",
        dataset="ood",
        group="far",
    )
    evaluate_held_out(
        probes=folder / "probes.h5", adapt=folder / "clean.h5", output=out / "held_out.csv"
    )


def rounds(folder, out):
    evaluate_rounds(
        probes=folder / "probes.h5",
        test=folder / "clean.h5",
        adapt_samples=folder / "samples.h5",
        test_samples=folder / "samples.h5",
        output=out / "rounds.csv",
        per_class=out / "per_class.csv",
        confusion=out / "confusion.csv",
    )


def paired(folder, out):
    evaluate_samples(
        probes=folder / "probes.h5",
        features=[folder / "clean.h5"],
        samples=[folder / "samples.h5"],
        output=out / "comparisons.csv",
        reliability=out / "reliability.csv",
        predictions=out / "predictions.h5",
        test="d",
    )


@pytest.mark.parametrize("stage", [robustness, detection, rounds, paired])
def test_an_evaluation_does_not_depend_on_the_memory(folder, tmp_path, little, stage):
    out = [tmp_path / "large", tmp_path / "little"]
    for place in out:
        place.mkdir()
    stage(folder, out[0])
    little()
    stage(folder, out[1])
    names = sorted(path.name for path in out[0].glob("*.csv"))
    assert names == sorted(path.name for path in out[1].glob("*.csv"))
    for name in names:
        expected, found = (pd.read_csv(place / name) for place in out)
        assert len(expected) or name == "confusion.csv"  # of labels that training made
        pd.testing.assert_frame_equal(found, expected, rtol=1e-3, atol=1e-4)
    if stage is paired:
        expected, found = (pd.read_hdf(place / "predictions.h5", "seed_0") for place in out)
        assert found["prediction"].tolist() == expected["prediction"].tolist()
        np.testing.assert_allclose(found["confidence"], expected["confidence"], atol=1e-3)
