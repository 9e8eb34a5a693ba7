"""Weights of every origin: the requested ones or an error; never a guess, never code."""

import shutil
import time
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from huggingface_hub import constants
from huggingface_hub.utils import _http
from PIL import Image
from safetensors.torch import load_file, save_file

from lpclip.errors import LpclipError
from lpclip.features.text import text_features
from lpclip.models.clip import load_model
from lpclip.models.hub import tokenizer
from lpclip.models.spec import ModelSpec
from tests.helpers.clip_folders import clip_folder, siglip_folder

OPENAI = "timm/vit_base_patch32_clip_224.openai"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Write ViT-B-32 with random weights."""
    path = tmp_path_factory.mktemp("vit") / "mine.safetensors"
    torch.manual_seed(0)
    save_file(open_clip.create_model("ViT-B-32").state_dict(), path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return clip_folder(tmp_path_factory.mktemp("clip") / "small")


@pytest.fixture(scope="module")
def siglip(tmp_path_factory):
    pytest.importorskip("transformers")
    return siglip_folder(tmp_path_factory.mktemp("siglip") / "small")


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    sizes = [(300, 200), (40, 40), (100, 260)]
    return [Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes]


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """The Hub is unreachable, nothing is cached, and its client does not wait to retry."""

    def impatient(seconds):
        raise AssertionError(f"waits {seconds} s")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(_http.time, "sleep", impatient)
    return tmp_path / "hub"


def put_into_cache(hub, repository, *files):
    folder = hub / f"models--{repository.replace('/', '--')}"
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs/main").write_text("0" * 40)
    for path in files:
        name = "open_clip_model.safetensors" if path.suffix == ".safetensors" else path.name
        (snapshot / name).symlink_to(path)


def embedded(model, images):
    return model.embed(torch.stack([model.to_pixels(image) for image in images]))


def plain(images, *arguments, **options):
    """Compute features with open_clip alone."""
    clip, _, preprocess = open_clip.create_model_and_transforms(*arguments, **options)
    with torch.no_grad():
        return clip.eval().encode_image(torch.stack([preprocess(image) for image in images]))


def sentence(spec, part=load_model):
    with pytest.raises(LpclipError) as error:
        part(spec, device="cpu")
    text = str(error.value)
    assert text.startswith("Model 'm': ")
    assert "\n" not in text
    return text


def test_a_checkpoint_of_a_real_architecture_gives_the_features_of_plain_open_clip(
    checkpoint, images
):
    found = embedded(load_model(ModelSpec("m", "ViT-B-32", str(checkpoint)), device="cpu"), images)
    expected = plain(images, "ViT-B-32", pretrained=str(checkpoint))
    assert torch.cosine_similarity(found, expected).min() >= 0.9999
    stored = found.half().float()  # as stored in caches
    assert torch.cosine_similarity(stored, expected).min() >= 0.9999
    assert torch.cosine_similarity(found, expected.roll(1, 0)).max() < 0.9999


def test_the_head_of_a_real_architecture_is_that_of_open_clip(checkpoint):
    model = load_model(ModelSpec("m", "ViT-B-32", str(checkpoint)), device="cpu")
    names, templates = ["cat", "dog {sic}", "bird"], ["a photo of a {}.", "the {}, small."]
    found = text_features(model, [[t.replace("{}", name) for t in templates] for name in names])
    expected = open_clip.build_zero_shot_classifier(
        model.clip, open_clip.get_tokenizer("ViT-B-32"), names, templates
    )
    np.testing.assert_allclose(found, expected.T, atol=1e-5)


@pytest.mark.parametrize(("precision", "real"), [("bf16", True), ("bf16", False), ("fp16", False)])
def test_low_precision_stays_close_to_fp32_and_has_the_same_weights(
    checkpoint, folder, images, precision, real
):
    spec = ("ViT-B-32", str(checkpoint)) if real else (f"local-dir:{folder}", "")
    full = load_model(ModelSpec("m", *spec), device="cpu")
    low = load_model(ModelSpec("m", *spec, precision=precision), device="cpu")
    assert (full.precision, low.precision) == ("fp32", precision)
    assert low.weights == full.weights
    expected, found = embedded(full, images), embedded(low, images)
    assert torch.cosine_similarity(found, expected).min() > 0.999
    assert not torch.equal(found, expected)


def test_an_image_size_below_a_patch_is_refused(checkpoint):
    spec = ModelSpec("m", "ViT-B-32", str(checkpoint), image_size=31)
    assert sentence(spec) == (
        "Model 'm': an image_size of 31 is less than one patch of ViT-B-32. Give at least 32."
    )


def test_features_that_overflow_are_refused(folder, images):
    model = load_model(ModelSpec("m", f"local-dir:{folder}", precision="fp16"), device="cpu")
    model.clip.visual.conv1.weight.mul_(1e9)
    with pytest.raises(LpclipError, match=r"not finite in precision fp16\. Set its precision to"):
        embedded(model, images)


def test_a_folder_brings_architecture_and_weights(folder, images):
    model = load_model(ModelSpec("m", f"local-dir:{folder}"), device="cpu")
    found = embedded(model, images)
    torch.testing.assert_close(found, plain(images, f"local-dir:{folder}"))
    assert model.width == found.shape[1] == 16


def test_the_image_size_can_be_another(folder, images):
    model = load_model(ModelSpec("m", f"local-dir:{folder}", image_size=64), device="cpu")
    assert model.image_size == 64
    torch.testing.assert_close(
        embedded(model, images), plain(images, f"local-dir:{folder}", force_image_size=64)
    )


def test_a_siglip_model_brings_bias_preprocessing_and_tokenizer(siglip, images):
    model = load_model(ModelSpec("m", f"local-dir:{siglip}"), device="cpu")
    assert model.bias == -10
    assert model.scale == pytest.approx(float(model.clip.logit_scale.exp()))
    assert model.mean == model.std == (0.5, 0.5, 0.5)
    assert '"resize_mode": "squash"' in model.preprocessing
    torch.testing.assert_close(embedded(model, images), plain(images, f"local-dir:{siglip}"))
    found = text_features(model, [["a photo of the cat."], ["A Photo of the dog!"]])
    expected = open_clip.build_zero_shot_classifier(
        model.clip,
        open_clip.get_tokenizer(f"local-dir:{siglip}"),
        ["a photo of the cat", "a photo of the dog"],
        ["{}"],
    )
    np.testing.assert_allclose(found, expected.T, atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 1e-3


@pytest.mark.usefixtures("no_network")
def test_images_are_embedded_without_the_tokenizer(tmp_path, images):
    pytest.importorskip("transformers")
    path = siglip_folder(tmp_path / "small", tokenizer=False)
    model = load_model(ModelSpec("m", f"local-dir:{path}"), device="cpu")
    assert embedded(model, images).shape == (3, 16)
    with pytest.raises(LpclipError, match=r"its tokenizer .*small cannot be loaded"):
        _ = model.tokenizer


@pytest.mark.usefixtures("no_network")
def test_a_tokenizer_of_the_hub_that_is_not_at_hand_is_named():
    pytest.importorskip("transformers")
    with pytest.raises(LpclipError) as error:
        tokenizer(ModelSpec("m", "ViT-B-16-SigLIP", "mine.safetensors"))
    assert "its tokenizer timm/ViT-B-16-SigLIP cannot be loaded" in str(error.value)
    assert "hf download timm/ViT-B-16-SigLIP --include" in str(error.value)


@pytest.mark.parametrize("form", ["state_dict", "module.", "plain"])
def test_a_torch_file_of_tensors_loads_in_the_forms_that_open_clip_knows(
    folder, tmp_path, images, form
):
    weights = load_file(folder / "open_clip_model.safetensors")
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(folder / "open_clip_config.json", other)
    saved = {
        "state_dict": {"state_dict": weights, "epoch": 3},
        "module.": {"state_dict": {f"module.{key}": value for key, value in weights.items()}},
        "plain": weights,
    }[form]
    torch.save(saved, other / "model.pth")
    one, two = (load_model(ModelSpec("m", f"local-dir:{f}"), device="cpu") for f in (folder, other))
    assert one.weights == two.weights
    torch.testing.assert_close(embedded(one, images), embedded(two, images))


class Code:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside tensors"])
def test_pickled_code_is_refused_and_not_run(tmp_path, beside):
    code = Code(str(tmp_path / "ran"))
    saved = {"state_dict": {"a": torch.ones(1)}, "x": code} if beside else code
    torch.save(saved, tmp_path / "c.pt")
    text = sentence(ModelSpec("m", "lpclip-tiny", str(tmp_path / "c.pt")))
    assert "could run code and are never loaded" in text
    assert not (tmp_path / "ran").exists()
    torch.load(tmp_path / "c.pt", weights_only=False)
    assert (tmp_path / "ran").exists()


def test_a_checkpoint_of_another_architecture_is_refused(folder, checkpoint):
    weights = str(folder / "open_clip_model.safetensors")
    assert f"{weights} does not hold the weights of ViT-B-32 (" in sentence(
        ModelSpec("m", "ViT-B-32", weights)
    )
    assert "does not hold the weights of lpclip-tiny (" in sentence(
        ModelSpec("m", "lpclip-tiny", str(checkpoint))
    )


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
@pytest.mark.parametrize("kept", [0, 100, 5000])
def test_a_truncated_checkpoint_is_refused(folder, tmp_path, suffix, kept):
    whole, cut = tmp_path / f"whole.{suffix}", tmp_path / f"cut.{suffix}"
    weights = load_file(folder / "open_clip_model.safetensors")
    (save_file if suffix == "safetensors" else torch.save)(weights, whole)
    cut.write_bytes(whole.read_bytes()[:kept])
    text = sentence(ModelSpec("m", "lpclip-tiny", str(cut)))
    assert f"{cut} cannot be loaded as the weights of lpclip-tiny" in text
    assert "truncated" in text


def test_a_folder_without_weights_is_refused(folder, tmp_path):
    shutil.copy(folder / "open_clip_config.json", tmp_path)
    assert "cannot be loaded" in sentence(ModelSpec("m", f"local-dir:{tmp_path}"))


@pytest.mark.parametrize("offline", [False, True], ids=["no network", "HF_HUB_OFFLINE"])
@pytest.mark.parametrize(
    ("architecture", "pretrained", "file"),
    [
        ("ViT-B-32-quickgelu", "openai", f"the file open_clip_model.safetensors of {OPENAI}"),
        (
            "hf-hub:nobody/clip",
            "",
            "the files open_clip_config.json and open_clip_model.safetensors of nobody/clip",
        ),
        ("xlm-roberta-base-ViT-B-32", __file__, "the file config.json of xlm-roberta-base"),
    ],
)
def test_weights_that_are_neither_cached_nor_reachable_are_a_sentence_at_once(
    no_network, monkeypatch, architecture, pretrained, file, offline
):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    start = time.monotonic()
    text = sentence(ModelSpec("m", architecture, pretrained))
    assert time.monotonic() - start < 10
    assert architecture in text
    assert file in text
    assert f"put into {no_network} what is missing" in text
    other = {"openai": "the path of a checkpoint", "": "a folder with these files"}
    assert f"or {'give ' + other[pretrained] if pretrained in other else 'take'}" in text
    assert text.count(". ") == 0


def test_weights_in_the_hub_cache_are_used_without_a_network(
    no_network, checkpoint, folder, images
):
    put_into_cache(no_network, OPENAI, checkpoint)
    put_into_cache(no_network, "nobody/clip", *folder.iterdir())
    of_tag = load_model(ModelSpec("m", "ViT-B-32-quickgelu", "openai"), device="cpu")
    of_file = load_model(ModelSpec("m", "ViT-B-32", str(checkpoint)), device="cpu")
    assert of_tag.weights == of_file.weights
    on_hub = load_model(ModelSpec("m", "hf-hub:nobody/clip"), device="cpu")
    torch.testing.assert_close(embedded(on_hub, images), plain(images, f"local-dir:{folder}"))
    assert text_features(on_hub, [["a cat"]]).shape == (1, 16)


def test_a_configuration_in_the_cache_without_weights_names_the_weights(no_network, folder):
    put_into_cache(no_network, "nobody/clip", folder / "open_clip_config.json")
    text = sentence(ModelSpec("m", "hf-hub:nobody/clip"))
    assert "the file open_clip_model.safetensors of nobody/clip" in text


def test_a_device_that_is_not_there_is_a_sentence():
    with pytest.raises(LpclipError, match="Model 'm': the device 'gpu' cannot be used"):
        load_model(ModelSpec("m", "lpclip-tiny", "embedded"), device="gpu")
