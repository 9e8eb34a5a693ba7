"""Checkpoints in many layouts: their weights are read or rejected; their code never runs."""

import os
import pickle
import warnings
import zipfile

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from lpclip.errors import LpclipError
from lpclip.models.checkpoints import read_checkpoint
from lpclip.models.clip import load_model, weights_hash
from lpclip.models.spec import ModelSpec
from tests.helpers.clip_folders import TEXT, VISION, architectures

ARCHITECTURE = "small-of-test-checkpoints"
CONFIG = {"embed_dim": 16, "vision_cfg": VISION, "text_cfg": TEXT}


@pytest.fixture(scope="module")
def clip():
    with architectures({ARCHITECTURE: CONFIG}):
        torch.manual_seed(0)
        yield open_clip.create_model(ARCHITECTURE).eval()


@pytest.fixture(scope="module")
def state(clip):
    return {name: tensor.detach() for name, tensor in clip.state_dict().items()}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Imitate OpenAI's: traced, half precision, QuickGELU, three numbers next to the weights."""
    torch.manual_seed(1)
    traced = open_clip.CLIP(**CONFIG, quick_gelu=True).eval()
    for name, number in (("input_resolution", 32), ("context_length", 16), ("vocab_size", 49408)):
        vars(traced).pop(name, None)
        traced.register_buffer(name, torch.tensor(number))
    size, texts = torch.ones(1, 3, 32, 32), torch.zeros(1, 16, dtype=torch.int)
    path = tmp_path_factory.mktemp("archive") / "RN.pt"
    with warnings.catch_warnings():  # deprecation warnings of torch
        warnings.simplefilter("ignore")
        module = torch.jit.trace_module(
            traced, {"encode_image": (size,), "encode_text": (texts,)}, check_trace=False
        )
        module.half().save(path)
    return path


def spec(path, **more):
    return ModelSpec("m", ARCHITECTURE, str(path), **more)


def prefixed(state, prefix):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


FORMS = {
    "plain": lambda s: s,
    "state_dict": lambda s: {"state_dict": s, "epoch": 3},
    "model": lambda s: {"model": s, "optimizer": {"state": {0: {"exp_avg": s["logit_scale"]}}}},
    "model_state_dict": lambda s: {"model_state_dict": s},
    "two wrappers": lambda s: {"trainer": {"network": s}},
    "module.": lambda s: prefixed(s, "module."),
    "compiled": lambda s: prefixed(s, "_orig_mod."),
    "compiled in DDP": lambda s: {"state_dict": prefixed(s, "module._orig_mod.")},
    "a compiled encoder": lambda s: {
        name.replace("visual.", "visual._orig_mod."): tensor for name, tensor in s.items()
    },
    "Lightning": lambda s: {"state_dict": prefixed(s, "model."), "pytorch-lightning_version": "2"},
    "in another model": lambda s: prefixed(s, "image_encoder.model."),
    "OpenAI's numbers": lambda s: {
        **s,
        "input_resolution": torch.tensor(32),
        "context_length": torch.tensor(16),
        "vocab_size": torch.tensor(49408),
    },
    "and an average": lambda s: {"state_dict": s, "state_dict_ema": prefixed(s, "module.")},
}


@pytest.mark.parametrize("form", FORMS)
def test_weights_are_found_in_whatever_wraps_them(state, tmp_path, form):
    saved = FORMS[form](state)
    torch.save(saved, tmp_path / "saved.pt")
    paths = [tmp_path / "saved.pt"]
    if all(isinstance(value, torch.Tensor) for value in saved.values()):
        save_file(saved, tmp_path / "saved.safetensors")
        paths.append(tmp_path / "saved.safetensors")
    for path in paths:
        found = read_checkpoint(path)
        assert found.tensors.keys() == state.keys()
        assert all(torch.equal(found.tensors[name], state[name]) for name in state)
        assert (found.quick_gelu, found.remark) == (None, "")


@pytest.mark.parametrize("form", ["model", "Lightning", "OpenAI's numbers"])
def test_wrapped_weights_make_the_same_model(clip, state, tmp_path, form):
    torch.save(FORMS[form](state), tmp_path / "saved.pt")
    assert load_model(spec(tmp_path / "saved.pt"), device="cpu").weights == weights_hash(clip)


@pytest.mark.usefixtures("clip")
def test_what_is_no_part_of_the_weights_is_left_out_and_said(state, tmp_path, caplog):
    head = {"classification_head.weight": torch.ones(3, 16), "step": torch.tensor(1)}
    torch.save(prefixed(state, "model.") | head, tmp_path / "saved.pt")
    load_model(spec(tmp_path / "saved.pt"), device="cpu")
    assert "under 'model'; 2 others are left out (classification_head.weight, step)" in caplog.text


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (lambda s: {"model": s, "model_ema": s}, "holds 2 sets of weights ('model', 'model_ema')"),
        (
            lambda s: prefixed(s, "student.") | prefixed(s, "teacher."),
            "2 sets of weights ('student', 'teacher')",
        ),
        (
            lambda s: {name: t for name, t in s.items() if name.startswith("visual.")},
            "nothing in it is called logit_scale (it begins with visual.class_embedding",
        ),
        (lambda _: {}, "(it begins with nothing)"),
        (lambda _: [1, 2], "holds a list, no state_dict"),
        (lambda s: s["logit_scale"], "holds a Tensor, no state_dict"),
    ],
)
def test_what_is_no_one_set_of_weights_is_refused(state, tmp_path, content, sentence):
    torch.save(content(state), tmp_path / "saved.pt")
    with pytest.raises(LpclipError) as error:
        read_checkpoint(tmp_path / "saved.pt")
    assert sentence in str(error.value)


@pytest.mark.usefixtures("clip")
@pytest.mark.parametrize("name", ["page.pt", "page.safetensors", "page.npz"])
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("<!DOCTYPE html><html>Not found</html>", "is a web page, no checkpoint"),
        ("\ufeff\n <?xml version='1.0'?><Error/>" + "é" * 2000, "is a web page, no checkpoint"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:4d", "git lfs pull"),
        ('{"error": "Repository not found"}', 'is text (\'{"error": "Repository not found"}\' …)'),
    ],
)
def test_a_failed_download_is_called_one(tmp_path, name, text, sentence):
    (tmp_path / name).write_text(text)
    with pytest.raises(LpclipError) as error:
        load_model(spec(tmp_path / name), device="cpu")
    assert str(error.value).startswith(f"Model 'm': {tmp_path / name}")
    assert sentence in str(error.value)
    assert "pickled" not in str(error.value)


@pytest.mark.usefixtures("clip")
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(state, tmp_path, number):
    broken = dict(state)
    for name in ("visual.proj", "ln_final.bias"):
        broken[name] = broken[name].clone().index_fill_(0, torch.tensor([1]), number)
    torch.save(broken, tmp_path / "broken.pt")
    with pytest.raises(
        LpclipError, match=r"nan or infinite numbers in 2 of \d+ tensors \(ln_fin|vi"
    ):
        load_model(spec(tmp_path / "broken.pt"), device="cpu")


@pytest.mark.usefixtures("clip")
@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_an_archive_of_torchscript_gives_the_features_of_its_own_code(archive):
    model = load_model(spec(archive, force_quick_gelu=True), device="cpu")
    module = torch.jit.load(archive).float()
    pixels, tokens = torch.randn(3, 3, 32, 32), model.tokenizer(["a cat", "two dogs", "!"])
    with torch.no_grad():
        for found, expected in (
            (model.clip.encode_image(pixels), module.encode_image(pixels)),
            (model.clip.encode_text(tokens), module.encode_text(tokens)),
        ):
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert read_checkpoint(archive).tensors["visual.proj"].dtype == torch.float16


@pytest.mark.usefixtures("clip")
def test_the_activation_of_an_archive_is_held_to(archive):
    with pytest.raises(LpclipError, match=r"RN\.pt was trained with QuickGELU.*Set force_quick_"):
        load_model(spec(archive), device="cpu")


def test_an_archive_with_other_objects_is_refused_and_runs_nothing(archive, tmp_path):
    class Code:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(tmp_path / "bad.pt", "w") as new:
        for name in old.namelist():
            bad = pickle.dumps(Code(), protocol=2) if name.endswith("/data.pkl") else old.read(name)
            new.writestr(name, bad)
    with pytest.raises(LpclipError, match=r"no tensors can be read \(it holds posix\.mkdir\)"):
        read_checkpoint(tmp_path / "bad.pt")
    assert not (tmp_path / "ran").exists()


def test_a_damaged_archive_is_a_sentence(archive, tmp_path):
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(tmp_path / "bad.pt", "w") as new:
        for name in old.namelist():
            if not name.endswith("data/0"):
                new.writestr(name, old.read(name))
    with pytest.raises(LpclipError, match="archive from which no tensors can be read"):
        read_checkpoint(tmp_path / "bad.pt")
