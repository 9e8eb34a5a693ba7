"""The model of a probe is loaded as it was when the probe was trained."""

from pathlib import Path

import torch

from lpclip.models.clip import load_model
from lpclip.models.from_provenance import load_encoder
from lpclip.models.spec import ModelSpec
from tests.helpers.clip_folders import clip_folder


def test_activation_and_image_size_are_those_of_the_probe(tmp_path):
    architecture = f"local-dir:{clip_folder(tmp_path / 'clip')}"
    spec = ModelSpec("m", architecture, force_quick_gelu=True, image_size=64)
    model, plain = (load_model(s, device="cpu") for s in (spec, ModelSpec("m", architecture)))
    found = load_encoder(Path("probes.h5"), model.provenance, checkpoint=None, device="cpu")
    assert found.image_size == 64
    pixels = torch.rand(2, 3, 64, 64)
    assert torch.equal(found.embed(pixels), model.embed(pixels))
    small = torch.rand(2, 3, 32, 32)
    other = load_model(ModelSpec("m", architecture, force_quick_gelu=True), device="cpu")
    assert not torch.allclose(plain.embed(small), other.embed(small), atol=1e-4)
