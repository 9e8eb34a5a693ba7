"""One ONNX file from pixels to predictions: it predicts what ``lpclip predict`` predicts."""

import json
import re
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image
from torchvision.transforms import InterpolationMode

from lpclip.cli import export_classifier
from lpclip.cli.command import main
from lpclip.cli.export import export
from lpclip.cli.predict import predict
from lpclip.errors import LpclipError
from lpclip.methods.training.rounds import Round, rounds_table
from lpclip.models import onnx_encoder
from lpclip.models.clip import load_model
from lpclip.models.spec import ModelSpec
from lpclip.storage.features import normalise
from lpclip.storage.probe import load_probe
from lpclip.storage.probes import Probes, write_probes
from tests.helpers.clip_folders import VISION, clip_folder, siglip_folder
from tests.helpers.trained import NAMES, write_trained

SIZES = [(1, 1), (1, 150), (150, 1), (3, 2), (32, 32), (33, 31), (480, 640), (40, 2000)]
SIZES += [(2000, 40), (900, 1300), (400, 120)]


def write_zoo(folder):
    """Write images of odd sizes, noise and smooth ones, and a grey one."""
    folder.mkdir()
    rng = np.random.default_rng(7)
    for number, (height, width) in enumerate(SIZES):
        noise = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        noise.save(folder / f"{number:02d}-noise.png")
        few = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        few.resize((width, height), Image.Resampling.BICUBIC).save(
            folder / f"{number:02d}-smooth.png"
        )
    Image.fromarray(rng.integers(0, 256, (50, 70), dtype=np.uint8)).save(folder / "grey.png")
    return folder


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return write_zoo(tmp_path_factory.mktemp("zoo") / "images")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    write_trained(folder)
    return folder / "probes.h5"


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier")
    export(probes=trained, to="onnx", output=folder, with_encoder=True)
    return folder


@cache
def session_of(folder):
    return onnxruntime.InferenceSession(folder / "classifier.onnx")


def run(folder, *images):
    session = session_of(folder)
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": np.stack(images)}), strict=True))


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


def assert_predicts_the_same(folder, probes, zoo):
    """Compare with ``predict``, image by image; return the probabilities of all."""
    classes = json.loads((folder / "head.json").read_text())["class_names"]
    table = predict(probes=probes, inputs=[zoo], top_k=len(classes), device="cpu").table
    scale = load_probe(probes, seed=json.loads((folder / "head.json").read_text())["seed"]).scale
    found = [run(folder, pixels(zoo / name)) for name in table["id"]]
    for (_, row), one in zip(table.iterrows(), found, strict=True):
        expected = {row["prediction"]: row["confidence"]}
        expected |= {row[f"class_{k}"]: row[f"confidence_{k}"] for k in range(2, len(classes) + 1)}
        wanted = [expected[name] for name in classes]
        np.testing.assert_allclose(one["probabilities"][0], wanted, atol=1e-3, err_msg=row["id"])
        np.testing.assert_allclose(one["confidence"], row["confidence"], atol=1e-3)
        np.testing.assert_allclose(
            one["half_way_max_logit"], row["half_way_max_logit"], atol=1e-3 * scale
        )
        assert one["class_index"] == one["probabilities"][0].argmax()
    return np.concatenate([one["probabilities"] for one in found])


def test_the_embedded_model_predicts_the_same_for_images_of_odd_sizes(exported, trained, zoo):
    probabilities = assert_predicts_the_same(exported, trained, zoo)
    assert len(np.unique(probabilities.argmax(axis=1))) > 2  # they could differ


@pytest.mark.parametrize("kind", ["vit", "siglip"])
def test_a_transformer_predicts_the_same_for_images_of_odd_sizes(kind, tmp_path, zoo):
    if kind == "vit":
        vision = {**VISION, "image_size": 48, "layers": 2}
        folder = clip_folder(tmp_path / "model", vision_cfg=vision)
    else:
        folder = siglip_folder(tmp_path / "model", tokenizer=False)
    model = load_model(ModelSpec("m", f"local-dir:{folder}"), device="cpu")
    images = [model.to_pixels(Image.open(path).convert("RGB"))[None] for path in zoo.iterdir()]
    features = np.concatenate([model.embed(one).numpy() for one in images])
    # Heads that tell images apart that an untrained encoder finds much alike.
    features -= 0.9 * features.mean(axis=0)
    weight = normalise(np.random.default_rng(0).permutation(features)[:10]).reshape(2, 1, 5, -1)
    probes = Probes(
        weight=weight.astype(np.float32),
        bias=np.full((2, 1, 5), 0.5, dtype=np.float32),
        scale=40.0,
        class_names=tuple(NAMES[:5]),
        seeds=(0,),
        rounds=rounds_table([Round(0, 0), Round(1, 0)]),
    )
    path = tmp_path / "probes.h5"
    write_probes(path, probes, {**model.provenance, "benchmark": "b", "method": "m"})
    export(probes=path, to="onnx", output=tmp_path / "out", with_encoder=True)
    probabilities = assert_predicts_the_same(tmp_path / "out", path, zoo)
    assert len(np.unique(probabilities.argmax(axis=1))) > 1
    assert np.ptp(probabilities, axis=0).max() > 0.2


def test_several_images_give_what_each_gives_alone(exported):
    images = np.random.default_rng(0).integers(0, 256, (3, 40, 60, 3), dtype=np.uint8)
    together = run(exported, *images)
    for row, image in enumerate(images):
        for name, values in run(exported, image).items():
            np.testing.assert_allclose(values[0], together[name][row], atol=1e-4)


def test_the_program_in_the_readme_predicts_an_image(exported, trained, monkeypatch, capsys):
    image = trained.parent / "images/b/05.png"
    Image.open(image).save(exported / "image.png")
    readme = (exported / "README.md").read_text()
    assert f"onnxruntime {onnxruntime.__version__}): probabilities differ by less than" in " ".join(
        readme.split()
    )
    (program,) = re.findall(r"```python\n(.*?)```", readme, re.S)
    monkeypatch.chdir(exported)
    exec(program, {})
    name, confidence, score = capsys.readouterr().out.split()
    expected = predict(probes=trained, inputs=[image], device="cpu").table.iloc[0]
    assert name == expected["prediction"]
    assert float(confidence) == pytest.approx(expected["confidence"], abs=1e-3)
    assert float(score) == pytest.approx(expected["half_way_max_logit"], abs=0.1)


def test_the_file_is_valid_and_holds_where_it_comes_from(exported):
    model = onnx.load(exported / "classifier.onnx")
    onnx.checker.check_model(model, full_check=True)
    (prop,) = model.metadata_props
    assert json.loads(prop.value) == json.loads((exported / "head.json").read_text())
    assert [one.name for one in model.graph.output] == list(export_classifier.OUTPUTS)


def test_a_member_of_an_ensemble_is_exported_with_its_encoder(trained, exported, tmp_path, zoo):
    ensemble = trained.parent / "ensemble.h5"
    with pytest.raises(LpclipError, match=r"is an ensemble.*member 0 to 2"):
        export(probes=ensemble, to="onnx", output=tmp_path, with_encoder=True)
    options = ["--to", "onnx", "--with-encoder", "--member", "1", "--output", str(tmp_path)]
    main(["export", "--probe", str(ensemble), *options])
    found, other = (
        run(folder, pixels(zoo / "grey.png"))["probabilities"] for folder in (tmp_path, exported)
    )
    assert np.abs(found - other).max() > 0.01


def test_a_file_that_predicts_otherwise_is_not_written(trained, tmp_path, monkeypatch):
    add = onnx_encoder.add_resampling

    def bilinear(graph, images, resampling):
        return add(graph, images, replace(resampling, filter=InterpolationMode.BILINEAR))

    monkeypatch.setattr(onnx_encoder, "add_resampling", bilinear)
    with pytest.raises(LpclipError, match="so it was not written"):
        export(probes=trained, to="onnx", output=tmp_path / "out", with_encoder=True)
    assert not list((tmp_path / "out").glob("*"))


def test_without_onnxruntime_the_file_is_written_unchecked(trained, tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    for name in ("one", "two"):
        export(probes=trained, to="onnx", output=tmp_path / name, with_encoder=True)
    assert "not checked, since onnxruntime is missing" in caplog.text
    assert "was not compared" in (tmp_path / "one/README.md").read_text()
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_mistake_is_a_sentence(trained, tmp_path, monkeypatch):
    with pytest.raises(
        LpclipError, match="--with-encoder goes with --to onnx, not with --to torch"
    ):
        export(probes=trained, to="torch", output=tmp_path, with_encoder=True)
    folder = clip_folder(tmp_path / "model")
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["preprocess_cfg"] = {"resize_mode": "longest"}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    model = load_model(ModelSpec("m", f"local-dir:{folder}"), device="cpu")
    graph = onnx_encoder.Graph()
    with pytest.raises(LpclipError, match="cannot be part of an ONNX file"):
        onnx_encoder.add_encoder(graph, "images", model)
    model = load_model(ModelSpec("m", "lpclip-tiny", "embedded"), device="cpu")
    monkeypatch.setattr(onnx_encoder, "LARGEST_BYTES", 1000)
    with pytest.raises(LpclipError, match=r"more than the 2 GB of an ONNX file\. Export the head"):
        onnx_encoder.add_encoder(graph, "images", model)
