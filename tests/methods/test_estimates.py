"""Estimates of the gain of points: the guard's evidence, without a label."""

import numpy as np
import pandas as pd
import pytest

from lpclip.columns.sweep import ESTIMATES
from lpclip.errors import LpclipError
from lpclip.methods.adapters.stata import stata_head
from lpclip.methods.adapters.transclip import transclip_head
from lpclip.methods.estimates import NOT_SURE, estimate_gains
from lpclip.methods.labelling.part import learned_part
from lpclip.methods.labelling.settings import Labelling
from lpclip.methods.training.evidence import ExaminedImages
from lpclip.methods.training.guard import TRUST, WORTH
from lpclip.methods.training.rounds import COLLAPSED, Round, rounds_table
from lpclip.storage.features import write_features
from lpclip.storage.probes import Probes, write_probes
from lpclip.storage.reports import read_cells, typed_cells
from lpclip.storage.samples import fingerprint
from lpclip.storage.stored_views import all_versions, open_views
from lpclip.storage.text import write_text
from tests.helpers.gaussian_pools import Gaussians, unit

MODEL = {"model": "m", "weights": "w"}
C = 20


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A pool of 20 classes, and directions from the text to the class means."""
    folder = tmp_path_factory.mktemp("estimates")
    made = Gaussians(n_classes=C)
    views, labels = made.pool(np.full(C, 15))
    write_text(
        folder / "text.h5",
        features=made.head.weight,
        class_names=made.head.class_names,
        provenance={**MODEL, "scale": 100.0, "bias": 0.0},
    )
    ids = [f"s{i}" for i in range(len(labels))]
    samples = pd.DataFrame({"id": ids, "path": ["x"] * len(ids)})
    write_features(
        folder / "adapt.h5",
        samples=samples,
        versions={"clean": 0},
        parts=[views[0][None].astype(np.float16)],
        provenance={**MODEL, "dataset": "adapt", "index": fingerprint(samples)},
    )
    means = np.stack([views[0][labels == c].mean(axis=0) for c in range(C)])
    towards = unit(means - means.mean(axis=0))
    return made, folder, towards.astype(np.float32)


def write_point(world, name, weight, *, status="ok", n_labels=0):
    made, folder, _ = world
    path = folder / f"{name}.h5"
    heads = np.stack([made.head.weight, weight])[:, None].astype(np.float32)
    rounds = rounds_table([Round(0, 0), Round(1, 0)])
    rounds.loc[1, "status"] = status
    probes = Probes(
        weight=heads,
        bias=np.zeros(heads.shape[:-1], np.float32),
        scale=made.head.scale,
        class_names=made.head.class_names,
        seeds=(0,),
        rounds=rounds,
        n_labels=n_labels,
        labels_seen=np.ones((1, 300), bool) if n_labels else None,
    )
    write_probes(path, probes, {**MODEL, "benchmark": "b", "method": name, "method_kind": "x"})
    return path


def estimated(world, paths, *, trained=None, sweeps=None):
    _, folder, _ = world
    names = [path.stem for path in paths]
    estimate_gains(
        text=folder / "text.h5",
        features=folder / "adapt.h5",
        probes=paths,
        output=folder / "estimates.csv",
        benchmark="b",
        trained=dict.fromkeys(names, "auto") | (trained or {}),
        sweeps=dict.fromkeys(names, "s") | (sweeps or {}),
        view="clean",
    )
    output = folder / "estimates.csv"
    return typed_cells(read_cells(output), output, ESTIMATES).set_index("method")


def heads(world):
    made, _, towards = world
    text = made.head.weight
    return {
        "good": unit(text + 0.4 * towards),
        "worse": unit(text - 0.1 * towards),
        "same": text,
    }


def test_a_head_towards_the_classes_gains_and_one_away_from_them_does_not(world):
    paths = [write_point(world, name, weight) for name, weight in heads(world).items()]
    found = estimated(world, paths)
    gain = found["estimated_gain"]
    assert gain["good"] > 0 > gain["worse"]
    assert gain["same"] == found["change"]["same"] == 0
    assert found["reason"].tolist() == ["", NOT_SURE, NOT_SURE]
    assert (found["gain_low"] <= gain).all()
    assert (gain <= found["gain_high"]).all()


def test_the_estimate_is_the_guards_with_the_points_and_its_adapters_as_candidates(world):
    made, folder, _ = world
    own = heads(world)
    paths = [write_point(world, name, weight) for name, weight in own.items()]
    # A point of another sweep is no candidate.
    found = estimated(world, paths, trained={"good": "align"}, sweeps={"worse": "other"})
    cache = folder / "adapt.h5"
    views = open_views(cache, all_versions(cache, "clean"), expected=MODEL)
    images = ExaminedImages(made.head, views, learned_part(made.head, views, Labelling()))
    zero = np.zeros(C, np.float32)
    voters = [
        images.predicted(own["same"], zero),
        *(images.predicted(*head(views, made.head)) for head in (stata_head, transclip_head)),
    ]
    evidence = images.gather(own["good"], zero, voters)
    expected = WORTH.estimate(evidence, TRUST["align"])
    assert found.loc["good", "estimated_gain"] == pytest.approx(expected.gain, abs=1e-6)
    assert found.loc["good", "gain_low"] == pytest.approx(expected.low, abs=1e-6)
    assert evidence.others != images.gather(own["good"], zero, voters[:1]).others


def test_what_collapsed_is_estimated_and_not_picked(world):
    path = write_point(world, "fallen", heads(world)["good"], status=COLLAPSED)
    found = estimated(world, [path]).loc["fallen"]
    assert found["estimated_gain"] > 0
    assert found["reason"] == "its training collapsed"


def test_a_point_that_saw_labels_is_refused(world):
    path = write_point(world, "taught", heads(world)["good"], n_labels=300)
    with pytest.raises(LpclipError, match="'taught' saw labels"):
        estimated(world, [path])
