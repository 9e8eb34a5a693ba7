"""Places on the map: projected from the unlabelled set, without a label, the same for every run."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lpclip.errors import LpclipError
from lpclip.evaluation.layout import layout
from lpclip.storage.features import normalise, write_features
from lpclip.storage.layout import read_layout
from lpclip.storage.text import write_text

MODEL = {"model": "noise", "weights": "0"}
SIZES = {"pool": 90, "test": 60, "letters": 30}


def write_set(folder, name, values):
    rows = pd.DataFrame({"id": [f"{name}-{i}" for i in range(len(values))], "path": "p"})
    about = {"dataset": name, "index": name, "views": json.dumps({"clean": {}})}
    parts = [values.astype(np.float16)[None]]
    write_features(
        folder / f"{name}.h5",
        samples=rows,
        versions={"clean": 0},
        parts=parts,
        provenance={**MODEL, **about},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four classes in 8 dimensions; the noise of one dimension is larger than what separates."""
    folder = tmp_path_factory.mktemp("layout")
    rng = np.random.default_rng(0)
    centres = np.eye(4, 8)
    write_text(
        folder / "text.h5",
        features=centres.astype(np.float32),
        class_names=list("abcd"),
        provenance={**MODEL, "scale": 10.0, "bias": 0.0},
    )
    for name, n in SIZES.items():
        values = centres[np.arange(n) % 4] + rng.normal(scale=0.08, size=(n, 8))
        values[:, 7] += rng.normal(scale=1.5, size=n)
        write_set(folder, name, values if name != "letters" else values - 2 * np.eye(8)[5])
    return folder


def laid_out(folder, output, **settings):
    layout(
        text=folder / "text.h5",
        adapt=folder / "pool.h5",
        test=folder / "test.h5",
        ood=[folder / "letters.h5"],
        near=["letters"],
        benchmark="b",
        output=output,
        **settings,
    )
    return read_layout(output)[0]


def separation(found):
    """Return the share of variance on the map between the four classes of the pool."""
    points = found.points[found.points["dataset"] == 0]
    of_class = points.groupby(points["row"] % 4)[["x", "y"]]
    return float((of_class.mean().var() / points[["x", "y"]].var()).mean())


def test_roles_and_rows_of_all_sets_are_there(folder, tmp_path):
    found = laid_out(folder, tmp_path / "l.h5")
    assert [one["role"] for one in found.datasets] == ["unlabelled", "test", "near OOD"]
    assert found.points.groupby("dataset").size().tolist() == list(SIZES.values())
    for place, name in enumerate(SIZES):
        own = found.points[found.points["dataset"] == place]
        assert (own["id"] == [f"{name}-{row}" for row in own["row"]]).all()


def test_fisher_axes_separate_what_zero_shot_distinguishes_and_pca_need_not(folder, tmp_path):
    fisher = laid_out(folder, tmp_path / "f.h5", layout="fisher")
    pca = laid_out(folder, tmp_path / "p.h5")
    assert separation(fisher) > separation(pca) + 0.2
    assert "Fisher" in fisher.axes
    assert "PCA" in pca.axes


def test_neighbours_are_the_nearest_other_points(folder, tmp_path):
    found = laid_out(folder, tmp_path / "l.h5")
    from lpclip.storage.features import read_features

    values = np.concatenate(
        [
            read_features(folder / f"{name}.h5", "clean", expected=MODEL)[
                found.points[found.points["dataset"] == place]["row"]
            ]
            for place, name in enumerate(SIZES)
        ]
    )
    far = np.linalg.norm(values[:, None] - values[None], axis=2)
    np.fill_diagonal(far, np.inf)
    np.testing.assert_allclose(found.distances, np.sort(far, axis=1)[:, :8], atol=2e-3)
    assert (found.neighbours != np.arange(len(values))[:, None]).all()


def test_out_of_distribution_images_have_lower_scores(folder, tmp_path):
    scores = laid_out(folder, tmp_path / "l.h5").points.groupby("dataset")["ood_score"].mean()
    assert scores[2] < scores[1] - 0.2


def test_fewer_points_are_some_of_the_same_places(folder, tmp_path):
    whole = laid_out(folder, tmp_path / "l.h5").points.set_index("id")
    few = laid_out(folder, tmp_path / "f.h5", points=60).points.set_index("id")
    assert len(few) == 60
    np.testing.assert_allclose(few[["x", "y"]], whole.loc[few.index, ["x", "y"]], atol=1e-5)


def test_the_same_images_as_unlabelled_and_test_set_are_there_once(folder, tmp_path):
    layout(
        text=folder / "text.h5",
        adapt=folder / "pool.h5",
        test=folder / "pool.h5",
        benchmark="b",
        output=tmp_path / "l.h5",
    )
    found, _ = read_layout(tmp_path / "l.h5")
    assert [one["role"] for one in found.datasets] == ["unlabelled and test"]
    assert len(found.points) == SIZES["pool"]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_few_images_have_places(folder, tmp_path, n):
    write_set(tmp_path, "few", normalise(np.eye(8)[:n] + 0.1))
    layout(
        text=folder / "text.h5",
        adapt=tmp_path / "few.h5",
        test=tmp_path / "few.h5",
        benchmark="b",
        layout="fisher",  # which needs more, so that PCA takes its place
        output=tmp_path / "l.h5",
    )
    found, _ = read_layout(tmp_path / "l.h5")
    assert np.isfinite(found.points[["x", "y"]].to_numpy()).all()
    assert found.neighbours.shape == (n, n - 1)


def test_umap_is_used_where_it_is_installed_and_named_where_it_is_not(
    folder, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(LpclipError, match=r"pip install 'lpclip\[umap\]'"):
        laid_out(folder, tmp_path / "u.h5", layout="umap")

    class Umap:
        def __init__(self, **settings):
            assert settings["random_state"] == 0

        def fit_transform(self, values):
            return values[:, :2]

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Umap))
    found = laid_out(folder, tmp_path / "u.h5", layout="umap")
    assert "UMAP" in found.axes
    assert found.points["x"].std() > 0
