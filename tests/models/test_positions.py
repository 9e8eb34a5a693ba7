"""Checkpoints with another image size or text length: rejected, or resampled on request."""

import re
from types import SimpleNamespace

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from lpclip.errors import LpclipError
from lpclip.models.clip import load_model, weights_hash
from lpclip.models.positions import check_positions, mismatch
from lpclip.models.spec import ModelSpec
from tests.helpers.clip_folders import TEXT, VISION, architectures, clip_folder

VIT, RESNET, TIMM = "vit-of-test-positions", "resnet-of-test-positions", "timm-of-test-positions"
_RESNET = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}
_TIMM = {
    "image_size": 160,
    "timm_model_name": "test_vit",
    "timm_pool": "token",
    "timm_proj": "linear",
}
CONFIGS = {VIT: VISION, RESNET: _RESNET, TIMM: _TIMM}


@pytest.fixture(scope="module", autouse=True)
def _architectures():
    both = {"embed_dim": 16, "text_cfg": TEXT}
    with architectures({name: {**both, "vision_cfg": v} for name, v in CONFIGS.items()}):
        yield


def saved(path, architecture, **changes):
    """Write weights of an architecture with another image size or text length."""
    torch.manual_seed(0)
    clip = open_clip.create_model(architecture, **changes).eval()
    save_file({k: v.contiguous() for k, v in clip.state_dict().items()}, path)
    return clip


def load(architecture, path, **more):
    return load_model(ModelSpec("m", architecture, str(path), **more), device="cpu")


def sentence(architecture, path, **more):
    with pytest.raises(LpclipError) as error:
        load(architecture, path, **more)
    return str(error.value).replace(str(path), "…")


def test_another_image_size_is_refused_and_loads_exactly_where_it_is_set(tmp_path):
    path = tmp_path / "w.safetensors"
    clip = saved(path, VIT, force_image_size=64)
    assert sentence(VIT, path) == (
        f"Model 'm': … holds 4 x 4 patches = 64 pixels, {VIT} takes 32. Set image_size: 64, or "
        "name the architecture."
    )
    model = load(VIT, path, image_size=64)
    assert (model.weights, model.image_size) == (weights_hash(clip), 64)
    pixels = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model.clip.encode_image(pixels), clip.encode_image(pixels))
    assert load(VIT, path, image_size=32).image_size == 32  # resampled, as requested


def test_another_length_of_text_is_refused_whatever_the_image_size(tmp_path):
    path = tmp_path / "w.safetensors"
    saved(path, VIT, force_context_length=20)
    for more in ({}, {"image_size": 64}):
        assert sentence(VIT, path, **more).startswith(
            f"Model 'm': … holds 20 positions of text, {VIT} has 16. Name the architecture that it "
            "is of, or give it in a folder whose open_clip_config.json has context_length: 20, as"
        )


def test_patches_that_are_no_square_are_refused_in_words(tmp_path):
    path = tmp_path / "w.safetensors"
    saved(path, VIT, force_image_size=(32, 96))
    for more in ({}, {"image_size": 64}):
        assert "holds 12 patches, no square, which do not fit" in sentence(VIT, path, **more)


def test_a_model_that_takes_no_squares_is_named_with_both_sides(tmp_path):
    wide = clip_folder(tmp_path / "wide", vision_cfg={**VISION, "image_size": [32, 64]})
    saved(wide / "open_clip_model.safetensors", VIT, force_image_size=64)
    with pytest.raises(LpclipError, match=re.escape("4 x 4 patches = 64 pixels")) as error:
        load_model(ModelSpec("m", f"local-dir:{wide}"), device="cpu")
    assert "takes 32 x 64. Set image_size: 64, or correct it in its configuration." in str(
        error.value
    )


def test_an_attention_pool_of_another_size_is_refused_and_loads_where_it_is_set(tmp_path):
    path = tmp_path / "w.safetensors"
    clip = saved(path, RESNET, force_image_size=96)
    assert "holds 3 x 3 positions = 96 pixels, the model takes 64. Set image_size: 96" in sentence(
        RESNET, path
    )
    text = sentence(RESNET, path, image_size=128)
    assert "takes 128. Set image_size: 96: an attention pool cannot be resampled." in text
    assert load(RESNET, path, image_size=96).weights == weights_hash(clip)


def test_an_image_encoder_of_timm_is_resampled_only_where_a_size_is_set(tmp_path):
    path, other = tmp_path / "w.safetensors", tmp_path / "o.safetensors"
    clip = saved(path, TIMM)
    assert load(TIMM, path, image_size=96).image_size == 96
    state = clip.state_dict()
    positions = state["visual.trunk.pos_embed"]
    save_file(state | {"visual.trunk.pos_embed": positions[:, :26].contiguous()}, other)
    for more in ({}, {"image_size": 80}):
        assert (
            f"holds 26 positions of the image, {TIMM} takes {positions.shape[1]} before an "
            "image_size is set. Name the architecture that it is of."
            in sentence(TIMM, other, **more)
        )


def test_architectures_of_other_sizes_are_named():
    differs = "size mismatch for {}: copying a param with shape torch.Size([{}]) from checkpoint, "
    differs += "the shape in current model is torch.Size([{}])."
    siglip = mismatch(
        ModelSpec("m", "ViT-B-16-SigLIP", "f"),
        "f",
        {},
        differs.format("visual.trunk.pos_embed", "1, 576, 768", "1, 196, 768"),
    )
    assert "Name the architecture that it is of (ViT-B-16-SigLIP-256, ViT-B-16-SigLIP-384" in siglip
    other = differs.format("token_embedding.weight", "250, 32", "49408, 32")
    found = mismatch(ModelSpec("m", "ViT-L-14", "f"), "f", {}, other)
    assert "(token_embedding.weight is [250, 32], not [49408, 32])" in found


def test_a_size_that_another_architecture_has_names_it():
    own = {"visual.positional_embedding": torch.empty(257, 8)}
    clip = SimpleNamespace(
        state_dict=lambda: own,
        visual=SimpleNamespace(patch_size=(14, 14), image_size=(224, 224)),
    )
    with pytest.raises(LpclipError, match=r"336 pixels.*or name the architecture \(ViT-L-14-336\)"):
        check_positions(
            ModelSpec("m", "ViT-L-14", "f"), "f", {"visual.positional_embedding": (577, 8)}, clip
        )
