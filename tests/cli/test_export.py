"""Exported heads give the probe's logits, and the program in their README runs."""

import json
import re
import sys

import h5py
import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from lpclip.cli.command import main
from lpclip.cli.export import FORMATS, export
from lpclip.cli.inspect import describe
from lpclip.cli.predict import predict
from lpclip.errors import LpclipError
from lpclip.models.tiny.weights import write_plain
from lpclip.storage.probe import load_probe
from tests.helpers.trained import NAMES, write_trained

FEATURES = np.random.default_rng(0).normal(scale=9, size=(17, 128)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    write_trained(folder)
    return folder


def logits_of(head, to, features):
    """Compute logits with the libraries alone."""
    if to == "onnx":
        session = onnxruntime.InferenceSession(head / "head.onnx")
        return session.run(None, {"features": features})[0]
    linear = torch.nn.Linear(128, 10)
    linear.load_state_dict(
        torch.load(head / "head.pt", weights_only=True)
        if to == "torch"
        else load_file(head / "head.safetensors")
    )
    unit = torch.nn.functional.normalize(torch.from_numpy(features), dim=-1)
    return linear(unit).detach().numpy()


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize(("round", "seed"), [(-1, None), (0, 3), (1, 8)])
def test_a_head_gives_the_logits_of_its_probe(folder, tmp_path, to, round, seed):
    export(probes=folder / "probes.h5", to=to, output=tmp_path / "h", round=round, seed=seed)
    expected = load_probe(folder / "probes.h5", round=round, seed=seed or 3).logits(FEATURES)
    np.testing.assert_allclose(logits_of(tmp_path / "h", to, FEATURES), expected, atol=2e-5)
    other = load_probe(folder / "probes.h5", round=1 - round % 2, seed=seed or 3).logits(FEATURES)
    assert np.abs(other - expected).max() > 0.1


def test_of_an_ensemble_a_member_is_exported_and_nothing_in_its_place(folder, tmp_path):
    with pytest.raises(LpclipError, match=r"is an ensemble.*member 0 to 2"):
        export(probes=folder / "ensemble.h5", to="torch", output=tmp_path)
    export(probes=folder / "ensemble.h5", to="torch", output=tmp_path, member=2)
    expected = load_probe(folder / "ensemble.h5", seed=3, member=2).logits(FEATURES)
    np.testing.assert_allclose(logits_of(tmp_path, "torch", FEATURES), expected, atol=2e-5)
    assert json.loads((tmp_path / "head.json").read_text())["member"] == 2


def test_features_of_zeros_give_the_bias_in_onnx_too(folder, tmp_path):
    export(probes=folder / "probes.h5", to="onnx", output=tmp_path)
    found = logits_of(tmp_path, "onnx", np.zeros((2, 128), np.float32))
    np.testing.assert_allclose(found, [load_probe(folder / "probes.h5", seed=3).bias] * 2)


@pytest.mark.parametrize("to", FORMATS)
def test_the_program_in_the_readme_predicts_an_image(folder, tmp_path, to, monkeypatch, capsys):
    export(probes=folder / "probes.h5", to=to, output=tmp_path)
    image = folder / "images/b/05.png"
    Image.open(image).save(tmp_path / "image.png")
    (program,) = re.findall(r"```python\n(.*?)```", (tmp_path / "README.md").read_text(), re.S)
    monkeypatch.chdir(tmp_path)
    exec(program, {})
    expected = predict(probes=folder / "probes.h5", inputs=[image], device="cpu").table
    assert capsys.readouterr().out.split() == expected["prediction"].tolist()


@pytest.mark.parametrize("to", FORMATS)
def test_a_head_of_precomputed_features_is_attached_to_features(
    folder, tmp_path, to, monkeypatch, capsys
):
    path = tmp_path / "probes.h5"
    path.write_bytes((folder / "probes.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        file.attrs["pretrained"] = "precomputed"
    export(probes=path, to=to, output=tmp_path)
    np.save(tmp_path / "features.npy", FEATURES)
    (program,) = re.findall(r"```python\n(.*?)```", (tmp_path / "README.md").read_text(), re.S)
    assert "open_clip" not in program
    monkeypatch.chdir(tmp_path)
    exec(program, {})
    best = load_probe(path, seed=3).logits(FEATURES).argmax(axis=1)
    assert capsys.readouterr().out.split() == [NAMES[row] for row in best]


def page_of(folder, tmp_path, **attributes):
    path = tmp_path / "probes.h5"
    path.write_bytes((folder / "probes.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        file.attrs.update(attributes)
    export(probes=path, to="torch", output=tmp_path)
    return (tmp_path / "README.md").read_text()


def test_the_page_of_another_model_names_its_architecture_and_weights(folder, tmp_path):
    page = page_of(folder, tmp_path, architecture="ViT-B-32", pretrained="laion2b_s34b_b79k")
    assert '\n    "ViT-B-32",\n    pretrained="laion2b_s34b_b79k",\n)\n' in page
    assert "lpclip-tiny" not in page


def test_the_page_of_a_model_of_the_hub_has_no_weights_to_name(folder, tmp_path):
    page = page_of(folder, tmp_path, architecture="hf-hub:me/clip", pretrained="")
    assert '(\n    "hf-hub:me/clip",\n)\n' in page
    assert "encoder `hf-hub:me/clip`, weights" in page


def test_the_program_builds_a_checkpoint_with_its_activation_and_preprocessing(
    folder, tmp_path, monkeypatch
):
    write_plain(tmp_path / "plain.safetensors")
    preprocessing = {"mean": [0.1, 0.2, 0.3], "std": [1, 1, 1], "interpolation": "bilinear"}
    page = page_of(
        folder,
        tmp_path,
        pretrained=str(tmp_path / "plain.safetensors"),
        preprocessing=json.dumps(preprocessing),
        force_quick_gelu=1,
        force_image_size=32,
    )
    (program,) = re.findall(r"```python\n(.*?)```", page, re.S)
    Image.open(folder / "images/b/05.png").save(tmp_path / "image.png")
    monkeypatch.chdir(tmp_path)
    built = {}
    exec(program, built)
    normalise = built["preprocess"].transforms[-1]
    assert (list(normalise.mean), list(normalise.std)) == ([0.1, 0.2, 0.3], [1, 1, 1])
    assert "QuickGELU" in str(built["model"])
    assert built["model"].visual.image_size in (32, (32, 32))


@pytest.fixture
def project(folder, tmp_path):
    """A folder that the workflow ran in, with a model whose weights have a relative path."""
    project = tmp_path / "project"
    probes = project / "results/tiny/digits/lp_clip/probes.h5"
    probes.parent.mkdir(parents=True)
    (project / "weights").mkdir()
    write_plain(project / "weights/plain.safetensors")
    probes.write_bytes((folder / "probes.h5").read_bytes())
    with h5py.File(probes, "r+") as file:
        file.attrs["pretrained"] = "weights/plain.safetensors"
    return project


@pytest.mark.parametrize("start", ["project", "."])
def test_the_program_finds_a_checkpoint_with_a_relative_path(
    project, folder, tmp_path, start, monkeypatch, capsys
):
    probes, head = project / "results/tiny/digits/lp_clip/probes.h5", tmp_path / "shelf/head"
    monkeypatch.chdir(tmp_path / start)
    export(probes=probes, to="torch", output=head)
    page = (head / "README.md").read_text()
    assert 'pretrained="../../project/weights/plain.safetensors"' in page
    Image.open(folder / "images/b/05.png").save(head / "image.png")
    (program,) = re.findall(r"```python\n(.*?)```", page, re.S)
    monkeypatch.chdir(head)
    exec(program, {})
    table = predict(probes=folder / "probes.h5", inputs=[head / "image.png"], device="cpu").table
    assert capsys.readouterr().out.split() == table["prediction"].tolist()
    # The file itself keeps what the probe was trained with.
    assert json.loads((head / "head.json").read_text())["pretrained"] == "weights/plain.safetensors"


def test_a_classifier_is_exported_from_another_folder_than_the_workflows(
    project, tmp_path, monkeypatch
):
    probes = project / "results/tiny/digits/lp_clip/probes.h5"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    export(probes=probes, to="onnx", output=tmp_path / "out", with_encoder=True)
    moved = (project / "weights").rename(tmp_path / "moved")
    with pytest.raises(LpclipError, match="--model-checkpoint names a file of these weights"):
        export(probes=probes, to="onnx", output=tmp_path / "out", with_encoder=True)
    given = {"checkpoint": moved / "plain.safetensors"}
    export(probes=probes, to="onnx", output=tmp_path / "out", with_encoder=True, **given)


def test_a_folder_of_a_model_is_named_as_seen_from_the_heads(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models/mine").mkdir(parents=True)
    page = page_of(folder, tmp_path, architecture="local-dir:models/mine", pretrained="")
    assert '(\n    "local-dir:models/mine",\n)\n' in page
    export(probes=tmp_path / "probes.h5", to="torch", output=tmp_path / "head")
    assert '"local-dir:../models/mine"' in (tmp_path / "head/README.md").read_text()


def test_a_head_says_where_it_comes_from(folder, tmp_path, capsys):
    arguments = ["--to", "safetensors", "--output", str(tmp_path), "--seed", "8"]
    main(["export", "--probe", str(folder / "probes.h5"), *arguments])
    assert capsys.readouterr().out.splitlines() == [
        str(tmp_path / name) for name in ("head.safetensors", "head.json", "README.md")
    ]
    about = json.loads((tmp_path / "head.json").read_text())
    assert about["class_names"] == NAMES
    assert (about["round"], about["seed"], about["method"]) == (1, 8, "lp_clip")
    assert about["weights"] == load_probe(folder / "probes.h5", seed=8).provenance["weights"]
    with safe_open(tmp_path / "head.safetensors", framework="numpy") as file:
        assert json.loads(file.metadata()["head"]) == about
    shown = describe(tmp_path / "head.safetensors")
    assert "head.safetensors: head" in shown
    assert "weight: [10, 128]" in shown


@pytest.mark.parametrize("to", FORMATS)
def test_the_same_probe_gives_the_same_bytes(folder, tmp_path, to):
    for name in ("one", "two"):
        export(probes=folder / "probes.h5", to=to, output=tmp_path / name)
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_a_mistake_is_a_sentence(folder, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(LpclipError, match=r"file is a file\. Name a folder"):
        export(probes=folder / "probes.h5", to="torch", output=tmp_path / "file")
    with pytest.raises(LpclipError, match="has no seed 0"):
        export(probes=folder / "probes.h5", to="torch", output=tmp_path, seed=0)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(LpclipError, match=r"pip install 'lpclip\[onnx\]'"):
        export(probes=folder / "probes.h5", to="onnx", output=tmp_path)
