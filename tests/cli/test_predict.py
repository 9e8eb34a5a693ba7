"""Predictions for images and for caches, and a check that the model is the probe's."""

import json
import subprocess
import sys

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from pyarrow import parquet
from safetensors.torch import load_file, save_file

from lpclip.cli.command import main
from lpclip.cli.predict import predict
from lpclip.errors import LpclipError
from lpclip.metrics.ood_features import mahalanobis
from lpclip.models.tiny.weights import write_plain
from lpclip.storage.frames import read_frame
from lpclip.storage.probe import load_probe
from tests.helpers.trained import NAMES, write_trained


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    write_trained(folder)
    return folder


@pytest.fixture
def edited(folder, tmp_path):
    """Copy the probes file with changed attributes."""

    def edit(**attributes):
        path = tmp_path / "edited.h5"
        path.write_bytes((folder / "probes.h5").read_bytes())
        with h5py.File(path, "r+") as file:
            file.attrs.update(attributes)
        return path

    return edit


def of(folder, *inputs, **settings):
    return predict(probes=folder / "probes.h5", inputs=inputs, device="cpu", **settings)


def test_images_get_the_predictions_of_their_cached_features(folder):
    cached = of(folder, folder / "clean.h5").table
    found = of(folder, folder / "images", batch_size=7).table
    assert found["id"].tolist() == cached["id"].tolist()
    assert found["path"].tolist() == cached["path"].tolist()
    assert found["prediction"].tolist() == cached["prediction"].tolist()
    assert found["prediction"].nunique() > 3
    for name in ("confidence", "half_way_max_logit", "max_logit", "mcm", "confidence_5"):
        np.testing.assert_allclose(found[name], cached[name], rtol=2e-3)


@pytest.mark.parametrize(("round", "seed"), [(-1, 3), (1, 8), (0, 8)])
def test_the_table_is_what_the_probe_gives_for_the_features(folder, round, seed):
    probe = load_probe(folder / "probes.h5", round=round, seed=seed)
    start = load_probe(folder / "probes.h5", round=0, seed=seed)
    features = read_frame(folder / "clean.h5", normalise=False).filter(regex=r"^d\d").to_numpy()
    logits = probe.logits(features).astype(np.float64)
    probabilities = torch.softmax(torch.from_numpy(logits), dim=1).numpy()
    table = of(folder, folder / "clean.h5", round=round, seed=seed, top_k=3).table
    assert list(table) == [
        "id", "path", "prediction", "confidence", "half_way_max_logit", "max_logit", "mcm",
        "class_2", "confidence_2", "class_3", "confidence_3",
    ]  # fmt: skip
    ranks = np.argsort(-logits, axis=1)
    for rank, column in enumerate(("prediction", "class_2", "class_3")):
        assert table[column].tolist() == [NAMES[best] for best in ranks[:, rank]]
    second = np.take_along_axis(probabilities, ranks[:, 1:2], axis=1)[:, 0]
    np.testing.assert_allclose(table["confidence"], probabilities.max(axis=1), atol=1e-5)
    np.testing.assert_allclose(table["confidence_2"], second, atol=1e-5)
    np.testing.assert_allclose(table["max_logit"], logits.max(axis=1), rtol=1e-6)
    half = (logits + start.logits(features)) / 2
    np.testing.assert_allclose(table["half_way_max_logit"], half.max(axis=1), rtol=1e-5)
    features = features / np.linalg.norm(features, axis=1, keepdims=True)
    rows = probe.weight / np.linalg.norm(probe.weight, axis=1, keepdims=True)
    cosines = torch.from_numpy(features @ rows.T).double()
    expected = torch.softmax(cosines, dim=1).max(dim=1).values.numpy()
    np.testing.assert_allclose(table["mcm"], expected, atol=1e-6)


def test_distances_to_the_adapt_set_are_those_of_the_metrics_in_every_batch_size(folder):
    known = read_frame(folder / "clean.h5").filter(regex=r"^d\d").to_numpy()
    table = of(folder, folder / "clean.h5", adapt=folder / "clean.h5", top_k=2).table
    assert list(table)[6:] == [
        "mcm",
        "nearest_neighbours",
        "mahalanobis",
        "class_2",
        "confidence_2",
    ]
    distances = np.sort(np.linalg.norm(known[:, None] - known, axis=-1), axis=1)
    # The images of the adapt set itself: each is compared with the others.
    np.testing.assert_allclose(table["nearest_neighbours"], -distances[:, 5], atol=1e-5)
    expected = mahalanobis(known, known, members=np.ones(len(known), bool))
    np.testing.assert_allclose(table["mahalanobis"], expected, rtol=1e-4)
    images = [folder / "images/b/01.png", folder / "images/a"]
    found = of(folder, *images, adapt=folder / "clean.h5", batch_size=4, top_k=1).table
    assert list(found)[-2:] == ["nearest_neighbours", "mahalanobis"]
    same = table.set_index("path").loc[found["path"]]
    np.testing.assert_allclose(found["nearest_neighbours"], same["nearest_neighbours"], atol=2e-3)


def test_an_ensemble_predicts_the_mean_of_its_members_probabilities(folder):
    features = read_frame(folder / "clean.h5", normalise=False).filter(regex=r"^d\d").to_numpy()
    probabilities = [
        torch.softmax(torch.from_numpy(head.logits(features)), dim=1).numpy()
        for head in (load_probe(folder / "ensemble.h5", seed=8, member=m) for m in range(3))
    ]
    mean = np.mean(probabilities, axis=0)
    found = predict(probes=folder / "ensemble.h5", inputs=[folder / "clean.h5"], seed=8).table
    assert found["prediction"].tolist() == [NAMES[best] for best in mean.argmax(axis=1)]
    np.testing.assert_allclose(found["confidence"], mean.max(axis=1), atol=1e-5)
    assert np.abs(probabilities[0].max(axis=1) - found["confidence"]).max() > 0.01


def test_rows_follow_the_arguments_and_more_classes_than_there_are_are_no_error(folder):
    images = folder / "images"
    table = of(folder, images / "b/01.png", folder / "clean.h5", images / "a", top_k=99).table
    assert table["id"].tolist()[:2] == ["01.png", "a/00.png"]
    assert table["id"].tolist()[-1] == "28.png"
    assert len(table) == 1 + 30 + 15
    assert "class_10" in table
    assert "class_11" not in table


def test_the_number_of_workers_changes_nothing(folder):
    one, two = (of(folder, folder / "images", workers=n, batch_size=8).table for n in (0, 2))
    pd.testing.assert_frame_equal(one, two)


def test_what_cannot_be_read_is_listed_at_the_end_and_all_else_is_predicted(
    folder, tmp_path, capsys
):
    (tmp_path / "in").mkdir()
    for name in ("a.png", "c.png"):
        (tmp_path / "in" / name).write_bytes((folder / "images/a/00.png").read_bytes())
    (tmp_path / "in/b.png").write_bytes(b"no image")
    (tmp_path / "in/d.jpg").touch()
    arguments = ["predict", "--probe", str(folder / "probes.h5"), str(tmp_path / "in")]
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--output", str(tmp_path / "p.csv"), "--device", "cpu"])
    assert stop.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("lpclip: 2 of 4 images have no row:")
    assert f"  {tmp_path}/in/b.png: not an image" in error
    assert f"  {tmp_path}/in/d.jpg: the file is empty" in error
    assert pd.read_csv(tmp_path / "p.csv")["id"].tolist() == ["a.png", "c.png"]


def test_only_images_that_cannot_be_read_give_a_table_without_rows(folder, tmp_path):
    (tmp_path / "b.png").write_bytes(b"no image")
    found = of(folder, tmp_path / "b.png")
    assert len(found.table) == 0
    assert list(found.table)[:3] == ["id", "path", "prediction"]
    assert [error.path for error in found.bad] == [str(tmp_path / "b.png")]


def test_csv_and_parquet_hold_the_same_and_parquet_says_where_it_comes_from(
    folder, tmp_path, capsys
):
    table = of(folder, folder / "clean.h5", output=tmp_path / "p.parquet").table
    main(["predict", "--probe", str(folder / "probes.h5"), str(folder / "clean.h5")])
    (tmp_path / "p.csv").write_text(capsys.readouterr().out)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "p.parquet"), table)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "p.csv"), table, check_dtype=False)
    metadata = json.loads(parquet.read_schema(tmp_path / "p.parquet").metadata[b"lpclip"])
    assert (metadata["method"], metadata["seed"]) == ("lp_clip", 3)


def test_weights_in_another_place_are_taken_if_they_are_the_same(folder, edited, tmp_path):
    write_plain(tmp_path / "plain.safetensors")
    lost = edited(pretrained="gone.safetensors")
    with pytest.raises(LpclipError, match=r"gone\.safetensors.*--model-checkpoint names a file"):
        predict(probes=lost, inputs=[folder / "images"], device="cpu")
    found = predict(
        probes=lost,
        inputs=[folder / "images"],
        checkpoint=tmp_path / "plain.safetensors",
        device="cpu",
    )
    pd.testing.assert_frame_equal(found.table, of(folder, folder / "images").table)


def test_another_model_is_refused(folder, edited, tmp_path):
    write_plain(tmp_path / "plain.safetensors")
    tensors = load_file(tmp_path / "plain.safetensors")
    tensors["logit_scale"] = tensors["logit_scale"] + 1
    save_file(tensors, tmp_path / "other.safetensors")
    with pytest.raises(LpclipError, match=r"of the weights [0-9a-f]{16} of model 'tiny'.*other"):
        of(folder, folder / "images", checkpoint=tmp_path / "other.safetensors")
    preprocessing = {"size": [48, 48], "mean": [0, 0, 0]}
    with pytest.raises(LpclipError, match=r"trained on images prepared with (size|mean)"):
        predict(
            probes=edited(preprocessing=json.dumps(preprocessing)),
            inputs=[folder / "images"],
            device="cpu",
        )
    with pytest.raises(LpclipError, match="was made with weights"):
        predict(probes=edited(weights="77c1"), inputs=[folder / "clean.h5"])


def test_precomputed_features_are_predicted_and_images_refused(folder, edited):
    known = edited(pretrained="precomputed")
    assert len(predict(probes=known, inputs=[folder / "clean.h5"]).table) == 30
    with pytest.raises(LpclipError, match=r"feature cache.*or its weights as --model-checkpoint"):
        predict(probes=known, inputs=[folder / "images"])
    unknown = edited(pretrained="precomputed", weights="precomputed")
    with pytest.raises(LpclipError, match=r"feature cache \(\.h5\) in place of images\.$"):
        predict(probes=unknown, inputs=[folder / "images"])


def test_a_mistake_is_a_sentence(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    for settings, sentence in (
        ({"inputs": [tmp_path / "nowhere"]}, "nowhere does not exist"),
        ({"inputs": [tmp_path / "empty"]}, "empty has no images"),
        ({"inputs": [folder / "probes.h5"]}, "is a file of probes of lpclip, not a feature cache"),
        ({"inputs": []}, "No image was given"),
        ({"top_k": 0}, "--top-k takes a positive whole number"),
        ({"batch_size": 0}, "--batch-size takes a positive whole number"),
        ({"workers": -1}, "--workers takes a whole number from 0 on, not -1"),
        ({"adapt": folder / "probes.h5"}, "is a file of probes of lpclip, not a feature cache"),
        ({"seed": 4}, r"has no seed 4\. Seeds: 3, 8\."),
        ({"output": tmp_path / "p.txt"}, r"ends in neither \.csv nor \.parquet"),
    ):
        arguments = {"probes": folder / "probes.h5", "inputs": [folder / "images"], **settings}
        with pytest.raises(LpclipError, match=sentence):
            predict(**arguments)


def test_features_need_no_torch(folder):
    code = (
        "import sys; from pathlib import Path; from lpclip.cli.predict import predict;"
        "predict(probes=Path(sys.argv[1]), inputs=[Path(sys.argv[2])]);"
        "sys.exit('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(folder / "probes.h5"), str(folder / "clean.h5")]
    assert subprocess.run(command, check=False).returncode == 0
