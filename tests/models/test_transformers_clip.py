"""CLIP models saved by transformers: open_clip gives the same features, or a short error."""

import json
import shutil

import numpy as np
import open_clip
import pytest
import torch
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import load_file, save_file

from lpclip.config.models import check_model
from lpclip.config.schema import Model
from lpclip.errors import LpclipError
from lpclip.features.text import text_features
from lpclip.models.checkpoints import read_checkpoint
from lpclip.models.clip import load_model
from lpclip.models.spec import ModelSpec
from lpclip.models.transformers_clip import DEFAULTS, open_clip_config
from tests.helpers.clip_folders import architectures

transformers = pytest.importorskip("transformers")

SIZES = {"hidden_size": 32, "intermediate_size": 72, "num_hidden_layers": 2}
TEXT = {**SIZES, "num_attention_heads": 2, "max_position_embeddings": 16}
VISION = {**SIZES, "num_attention_heads": 4, "image_size": 32, "patch_size": 16}


def saved(path, *, text=(), vision=(), **more):
    torch.manual_seed(0)
    config = transformers.CLIPConfig(
        text_config={**TEXT, **dict(text)},
        vision_config={**VISION, **dict(vision)},
        projection_dim=16,
        **more,
    )
    model = transformers.CLIPModel(config).eval()
    for parameter in model.parameters():  # biases are initialised with zeros
        torch.nn.init.normal_(parameter, std=0.2) if parameter.ndim == 1 else None
    model.save_pretrained(path)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("transformers") / "clip"
    return path, saved(path)


@pytest.fixture
def copied(folder, tmp_path):
    return shutil.copytree(folder[0], tmp_path / "copy")


def load(path, **more):
    return load_model(ModelSpec("m", f"local-dir:{path}", **more), device="cpu")


def assert_same(model, theirs):
    """Features and logits equal those of transformers, for pixels and for tokens."""
    pixels, tokens = torch.randn(3, 3, 32, 32), model.tokenizer(["a cat", "A  photo of two dogs!"])
    with torch.no_grad():
        expected = theirs(input_ids=tokens, pixel_values=pixels)
        image, text, scale = model.clip(pixels, tokens)
    torch.testing.assert_close(image, expected.image_embeds, atol=1e-5, rtol=0)
    torch.testing.assert_close(text, expected.text_embeds, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        scale * image @ text.T, expected.logits_per_image, atol=1e-4, rtol=1e-5
    )
    assert (text[0] - text[1]).abs().max() > 1e-2


def test_a_folder_that_transformers_saved_gives_its_features(folder):
    path, theirs = folder
    model = load(path)
    assert_same(model, theirs)
    assert (model.image_size, model.width) == (32, 16)
    assert model.scale == pytest.approx(float(theirs.logit_scale.detach().exp()))


@pytest.mark.parametrize(
    "changes",
    [
        {"text": {"hidden_act": "gelu"}, "vision": {"hidden_act": "gelu"}},
        {"text": {"layer_norm_eps": 0.1}, "vision": {"layer_norm_eps": 0.2}},
        {"text": {"eos_token_id": 2}},
    ],
    ids=["GELU", "epsilon", "the first configurations' end of text"],
)
def test_other_settings_give_their_features_too(tmp_path, changes):
    theirs = saved(tmp_path / "clip", **changes)
    assert_same(load(tmp_path / "clip"), theirs)


def test_images_are_prepared_and_texts_cut_as_by_transformers(folder, copied):
    path, theirs = folder
    given = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5] * 3, "resample": 2, "size": 32}
    (copied / "preprocessor_config.json").write_text(json.dumps(given))
    default, model = load(path), load(copied)
    assert default.mean == pytest.approx(transformers.CLIPImageProcessor.image_mean)
    assert (model.mean, model.std) == ((0.1, 0.2, 0.3), (0.5, 0.5, 0.5))
    assert '"interpolation": "bilinear", ' in model.preprocessing
    assert model.tokenizer(["a " * 40]).shape == (1, 16)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))
    processor = transformers.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    with torch.no_grad():
        expected = theirs.get_image_features(**processor(image, return_tensors="pt"))
    expected = getattr(expected, "pooler_output", expected)
    found = default.embed(default.to_pixels(image)[None])
    assert torch.cosine_similarity(found, expected).min() > 0.999  # another library's bicubic
    given = {"size": {"height": 32, "width": 32}, "crop_size": {"height": 32, "width": 32}}
    (copied / "preprocessor_config.json").write_text(json.dumps(given))
    assert '"resize_mode": "squash"' in load(copied).preprocessing


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "wrapped.pt"])
def test_a_file_loads_under_the_name_of_its_architecture(folder, copied, name):
    state = load_file(copied / "model.safetensors")
    if name != "model.safetensors":
        (copied / "model.safetensors").unlink()
        torch.save({"model": state} if name == "wrapped.pt" else state, copied / name)
    own = "transformers-of-tests"
    spec = ModelSpec("m", own, str(copied / name))
    with architectures({own: open_clip_config(copied)["model_cfg"]}):
        assert_same(load_model(spec, device="cpu"), folder[1])
        assert read_checkpoint(copied / name).quick_gelu
        config = json.loads((copied / "config.json").read_text())
        config["text_config"]["hidden_act"] = config["vision_config"]["hidden_act"] = "gelu"
        (copied / "config.json").write_text(json.dumps(config))
        with pytest.raises(LpclipError, match="without QuickGELU, but the model is built with"):
            load_model(spec, device="cpu")


def test_a_repository_of_the_hub_in_transformers_layout_loads(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    cached = tmp_path / "models--nobody--clip"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs/main").write_text("0" * 40)
    shutil.copytree(folder[0], cached / "snapshots" / ("0" * 40))
    model = load_model(ModelSpec("m", "hf-hub:nobody/clip"), device="cpu")
    assert model.weights == load(folder[0]).weights
    assert text_features(model, [["a cat"]]).shape == (1, 16)


def test_an_image_size_can_be_set(folder):
    assert load(folder[0], image_size=64).image_size == 64


def test_defaults_are_those_of_transformers():
    theirs = transformers.CLIPConfig().to_dict()
    for part, values in DEFAULTS.items():
        assert {key: theirs[part][key] for key in values} == dict(values)
    empty = transformers.CLIPConfig()
    assert (empty.projection_dim, empty.text_config.projection_dim) == (512, 512)


def write(name, content):
    def change(path):
        (path / name).write_text(content if isinstance(content, str) else json.dumps(content))

    return change


def configured(**parts):
    def change(path):
        config = json.loads((path / "config.json").read_text())
        for part, values in parts.items():
            config[part] |= values
        (path / "config.json").write_text(json.dumps(config))

    return change


def without_weights(path):
    (path / "model.safetensors").unlink()


def in_parts(path):
    (path / "model.safetensors").rename(path / "model-00001-of-00002.safetensors")
    (path / "model.safetensors.index.json").write_text("{}")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (configured(text_config={"hidden_act": "relu"}), "hidden_act relu, with which open_clip"),
        (configured(vision_config={"hidden_act": "gelu"}), "hidden_act of vision_config gelu"),
        (configured(text_config={"vocab_size": 30000}), "vocab_size 30000"),
        (configured(text_config={"eos_token_id": 7}), "eos_token_id 7"),
        (write("vocab.json", {"cat": 0}), "vocab.json is a vocabulary other than that of CLIP"),
        (write("tokenizer.json", {"model": {"vocab": {}}}), "tokenizer.json is a vocabulary"),
        (write("vocab.json", "[" * 100_000), "vocab.json cannot be read as JSON"),
        (write("preprocessor_config.json", {"size": 64}), "resizes to 64 and cuts out 32, but"),
        (write("preprocessor_config.json", {"resample": 1}), "resample 1"),
        (without_weights, "holds neither model.safetensors nor pytorch_model.bin"),
        (in_parts, "holds its weights in parts"),
    ],
)
def test_what_open_clip_cannot_build_the_same_is_refused(copied, change, sentence):
    change(copied)
    with pytest.raises(LpclipError) as error:
        load(copied)
    assert str(error.value).startswith(f"Model 'm': {copied}")
    assert sentence in str(error.value)


def test_clips_own_vocabulary_is_taken(folder, copied):
    own = open_clip.SimpleTokenizer().encoder
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {names.get(token, token): number for token, number in own.items()}
    (copied / "vocab.json").write_text(json.dumps(vocabulary))
    (copied / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary}}))
    assert load(copied).weights == load(folder[0]).weights


def test_another_model_of_transformers_is_named(folder, tmp_path):
    state = load_file(folder[0] / "model.safetensors")
    save_file(state | {"vision_model.head.probe": torch.ones(1)}, tmp_path / "siglip.safetensors")
    with pytest.raises(LpclipError, match=r"no CLIP that open_clip can build: it holds 'vision_mo"):
        read_checkpoint(tmp_path / "siglip.safetensors")


def test_the_configuration_takes_such_a_folder_and_no_other(folder, tmp_path):
    model = {"architecture": f"local-dir:{folder[0]}"}
    check_model("m", Model(name="m", **model))
    (tmp_path / "config.json").write_text('{"model_type": "siglip"}')
    model = {"architecture": f"local-dir:{tmp_path}"}
    with pytest.raises(LpclipError, match=r"nor the config\.json of a CLIP of transformers'"):
        check_model("m", Model(name="m", **model))
