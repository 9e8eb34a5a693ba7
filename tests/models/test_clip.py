"""Models equal open_clip's; where open_clip fails, the error is short."""

import copy
import weakref
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lpclip.data.registry import open_source
from lpclip.errors import LpclipError
from lpclip.features.text import embed_text
from lpclip.models import tiny
from lpclip.models.clip import BYTES_PER_VALUE, load_model, weights_hash
from lpclip.models.spec import ModelSpec
from lpclip.models.tiny.weights import write_plain
from lpclip.storage.hdf5 import open_file, provenance_of
from lpclip.utils import device, gpu_lease
from lpclip.utils.gpu_lease import Gpu

SPEC = ModelSpec("tiny", "lpclip-tiny", "embedded")
NAMES = ["zero", "seven", "nine"]
TEMPLATES = ["a photo of the number {}.", "the digit {} written by hand."]


@pytest.fixture(scope="module")
def model():
    return load_model(SPEC, device="cpu")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Load the same weights with open_clip alone: model, preprocessing, and the file."""
    path = tmp_path_factory.mktemp("plain") / "plain.safetensors"
    write_plain(path)
    open_clip.add_model_config(tiny.CONFIG)
    clip, _, preprocess = open_clip.create_model_and_transforms("lpclip-tiny", pretrained=str(path))
    return clip.eval(), preprocess, path


@pytest.fixture(scope="module")
def images():
    """Return digits of 32 pixels, and patches enlarged to other shapes."""
    digits = open_source("digits", {"split": "test"})
    patches = open_source("photo_patches", {"n": 4})
    small = [digits.read(sample.path) for sample in digits.samples()[:6]]
    odd = [
        patches.read(sample.path).resize((70, 41 + 9 * i))
        for i, sample in enumerate(patches.samples())
    ]
    return small + odd


def test_features_are_those_of_open_clip_with_its_own_preprocessing(model, plain, images):
    clip, preprocess, _ = plain
    found = model.embed(torch.stack([model.to_pixels(image) for image in images]))
    with torch.no_grad():
        expected = clip.encode_image(torch.stack([preprocess(image) for image in images]))
    assert torch.cosine_similarity(found, expected).min() >= 0.9999
    assert torch.cosine_similarity(found, expected.roll(1, 0)).min() < 0.99
    assert found.dtype == torch.float32
    assert not torch.allclose(found.norm(dim=-1), torch.ones(len(images)), atol=0.01)


def test_bytes_give_the_features_of_the_same_fractions(model):
    levels = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    kept = levels.clone()
    assert torch.equal(model.embed(levels), model.embed(levels.float() / 255))
    assert not torch.equal(model.embed(levels), model.embed(levels.float()))
    assert torch.equal(levels, kept)


def test_pixels_are_in_0_to_1_before_views_are_made(model, images):
    pixels = torch.stack([model.to_pixels(image) for image in images])
    assert pixels.shape == (10, 3, model.image_size, model.image_size)
    assert pixels.min() >= 0
    assert 0.9 < pixels.max() <= 1


def test_scale_and_bias_are_those_of_the_model(model):
    assert model.scale == pytest.approx(float(model.clip.logit_scale.exp()))
    assert model.scale > 1
    assert model.bias == 0.0


def test_the_model_is_frozen(model):
    assert not model.clip.training
    assert not any(parameter.requires_grad for parameter in model.clip.parameters())


def test_the_hash_of_weights_changes_with_one_number_a_name_or_a_type(model):
    clip = copy.deepcopy(model.clip)
    assert weights_hash(clip) == model.weights
    with torch.no_grad():
        clip.visual.attnpool.positional_embedding[1, 5] += 1e-6
    assert weights_hash(clip) != model.weights
    one, other = torch.nn.Module(), torch.nn.Module()
    one.register_buffer("a", torch.ones(4))
    other.register_buffer("b", torch.ones(4))
    assert weights_hash(one) != weights_hash(other)
    assert weights_hash(one) != weights_hash(copy.deepcopy(one).half())


def test_the_embedded_model_loads_the_same_every_time(model):
    assert load_model(SPEC, device="cpu").weights == model.weights


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_weights_of_low_precision_give_the_features_of_autocast(model, images, precision):
    low = load_model(
        ModelSpec("tiny", "lpclip-tiny", "embedded", precision=precision), device="cpu"
    )
    pixels = torch.stack([model.to_pixels(image) for image in images])
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (model.mean, model.std))
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    with torch.inference_mode(), torch.autocast("cpu", dtype=dtype):
        expected = model.clip.encode_image((pixels - mean) / std).float()
    found = low.embed(pixels)
    assert torch.equal(found, expected)
    assert not torch.equal(found, model.embed(pixels))
    assert low.weights == model.weights
    tokens = model.tokenizer(["a nine"])
    assert torch.equal(low.clip.encode_text(tokens), model.clip.encode_text(tokens))


def test_a_compiled_encoder_is_given_batches_of_few_sizes(model, images, monkeypatch):
    sizes = []

    def compile(encode, dynamic):
        assert not dynamic
        return lambda images: sizes.append(len(images)) or encode(images)

    monkeypatch.setattr(torch, "compile", compile)
    compiled = load_model(replace(SPEC, compile=True), device="cpu")
    pixels = torch.stack([model.to_pixels(image) for image in images])
    for count in (1, 3, 4, 6):
        found, expected = (each.embed(pixels[:count]) for each in (compiled, model))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert sizes == [1, 4, 4, 8]


def test_provenance_says_which_model_made_a_cache(model):
    provenance = model.provenance
    assert (provenance["model"], provenance["pretrained"]) == ("tiny", "embedded")
    assert provenance["weights"] == model.weights
    assert '"size"' in provenance["preprocessing"]


def test_a_checkpoint_of_the_same_architecture_loads_by_its_path(tmp_path, images):
    open_clip.add_model_config(tiny.CONFIG)
    torch.manual_seed(0)
    own = open_clip.create_model("lpclip-tiny").eval()
    save_file(own.state_dict(), tmp_path / "own.safetensors")
    loaded = load_model(
        ModelSpec("own", "lpclip-tiny", str(tmp_path / "own.safetensors")), device="cpu"
    )
    assert loaded.weights == weights_hash(own)
    pixels = torch.stack([loaded.to_pixels(image) for image in images])
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (loaded.mean, loaded.std))
    with torch.no_grad():
        torch.testing.assert_close(loaded.embed(pixels), own.encode_image((pixels - mean) / std))


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (ModelSpec("m", "lpclip-tny", "embedded"), "Did you mean 'lpclip-tiny'"),
        (
            ModelSpec("m", "lpclip-tiny", "embedded", image_size=64),
            "have an image size and an activation of their own. Remove image_size",
        ),
        (
            ModelSpec("m", "lpclip-tiny", "embedded", force_quick_gelu=True),
            "Remove image_size and force_quick_gelu.",
        ),
        (ModelSpec("m", "ViT-B-32", "embedded"), "only lpclip-tiny has embedded weights"),
        (ModelSpec("m", "lpclip-tiny", "no/such.safetensors"), "'no/such.safetensors' does not ex"),
        (
            ModelSpec("m", "lpclip-tiny", "laion9b"),
            "has no weights 'laion9b' of lpclip-tiny",
        ),
        (ModelSpec("m", "ViT-B-16", "openia"), "Did you mean 'openai'"),
    ],
)
def test_a_model_that_cannot_be_had_is_a_sentence(spec, sentence):
    with pytest.raises(LpclipError) as error:
        load_model(spec, device="cpu")
    assert str(error.value).startswith("Model 'm': ")
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_text_features_are_open_clips_zero_shot_head(tmp_path, plain, model):
    clip, _, _ = plain
    embed_text(
        output=tmp_path / "text.h5",
        model=SPEC,
        class_names=NAMES,
        templates=TEMPLATES,
        device="cpu",
    )
    expected = open_clip.build_zero_shot_classifier(
        clip, open_clip.get_tokenizer("lpclip-tiny"), NAMES, TEMPLATES
    ).T.numpy()
    with open_file(tmp_path / "text.h5", kind="text") as file:
        found = file["features"][...]
        provenance = provenance_of(file)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert provenance["scale"] == pytest.approx(model.scale)
    assert provenance["weights"] == model.weights
    names = pd.read_hdf(tmp_path / "text.h5", "classes")
    assert names["name"].tolist() == NAMES


def test_another_template_gives_other_text_features(tmp_path):
    found = []
    for templates in (TEMPLATES, TEMPLATES[:1]):
        embed_text(
            output=tmp_path / "t.h5",
            model=SPEC,
            class_names=NAMES,
            templates=templates,
            device="cpu",
        )
        with open_file(tmp_path / "t.h5") as file:
            found.append(file["features"][...])
    assert np.abs(found[0] - found[1]).max() > 1e-3


class Alive(TorchDispatchMode):
    """Counts the bytes of all tensors that are made and still referred to."""

    def __init__(self):
        super().__init__()
        self.sizes, self.most = {}, 0

    def __torch_dispatch__(self, function, _types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            storage = tensor.untyped_storage() if isinstance(tensor, torch.Tensor) else None
            if storage is not None and storage._cdata not in self.sizes:
                self.sizes[storage._cdata] = storage.nbytes()
                self.most = max(self.most, sum(self.sizes.values()))
                weakref.finalize(storage, self.sizes.pop, storage._cdata, None)
        return result


@pytest.mark.parametrize("architecture", ["lpclip-tiny", "RN50", "ViT-B-32"])
def test_a_batch_takes_no_more_memory_than_is_reckoned_with(model, architecture):
    visual = open_clip.create_model(architecture).eval().visual
    size = np.broadcast_to(visual.image_size, 2)
    pixels = torch.zeros(2, 3, *size, dtype=torch.uint8)
    stand_in = replace(model, encode_image=visual)
    with Alive() as alive:
        stand_in.features(pixels)
    assert pixels.numel() * 4 < alive.most < pixels.numel() * BYTES_PER_VALUE


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    """One pretend GPU: its free memory, which can be changed, and what was moved there."""
    state = SimpleNamespace(free=8_000_000_000, moved=[])
    move = torch.nn.Module.to

    def to(module, *places, **more):
        if places != (torch.device("cuda:0"),):
            return move(module, *places, **more)
        state.moved.append(module)
        return module

    monkeypatch.setattr(torch.nn.Module, "to", to)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(device, "visible_gpus", lambda: [Gpu(0, "GPU-a", state.free)])
    monkeypatch.setattr(device, "_tried", lambda place, _: place)
    monkeypatch.setattr(device, "WAIT_SECONDS", 0.0)
    monkeypatch.setattr(gpu_lease, "FILE", tmp_path / "gpus.lock")
    monkeypatch.setattr(gpu_lease, "_opened", None)
    monkeypatch.setattr(gpu_lease, "_leases", weakref.WeakValueDictionary())
    return state


def test_a_gpu_without_memory_is_refused_before_weights_are_moved_there(gpu):
    gpu.free = 600_000_000
    with pytest.raises(LpclipError, match=r"^Model 'tiny' needs 0\.6 GB .* or set device: cpu\.$"):
        load_model(SPEC)
    assert not gpu.moved
    gpu.free = 700_000_000
    load_model(SPEC)
    assert gpu.moved


@pytest.mark.usefixtures("gpu")
def test_a_gpu_is_leased_as_long_as_a_model_is_on_it():
    first = load_model(SPEC)
    second = replace(first, precision="fp32")
    assert first.lease is gpu_lease._leases["GPU-a"]
    del first
    assert second.lease is gpu_lease._leases["GPU-a"]
    del second
    assert not gpu_lease._leases


def test_memory_that_is_taken_while_a_model_loads_is_a_sentence(gpu, monkeypatch):
    class Full(list):
        def append(self, _):
            raise torch.OutOfMemoryError

    monkeypatch.setattr(gpu, "moved", Full())
    with pytest.raises(LpclipError, match="took the memory of cuda:0 while the model was loaded"):
        load_model(SPEC)
