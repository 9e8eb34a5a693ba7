"""Models in the configuration: impossible ones are rejected before the first job."""

import open_clip
import pytest

from lpclip.config.models import architectures, check_model
from lpclip.config.schema import Model
from lpclip.errors import LpclipError
from lpclip.models.spec import files_hash, local_files


def check(**model):
    check_model("m", Model(name="m", **model))


def test_architectures_are_those_of_open_clip():
    assert set(open_clip.list_models()) <= set(architectures())
    assert "lpclip-tiny" in architectures()


def test_architectures_that_bring_their_weights_need_no_others(tmp_path):
    (tmp_path / "open_clip_config.json").touch()
    check(architecture=f"local-dir:{tmp_path}")
    check(architecture="hf-hub:nobody/clip")
    check(architecture="x", pretrained="precomputed")


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ({"architecture": "ViT-B32", "pretrained": "openai"}, "Did you mean 'ViT-B-32'?"),
        ({"architecture": "ViT-B-32"}, "lacks the setting 'pretrained'"),
        ({"architecture": "ViT-B-32", "pretrained": "a.pt"}, "the file 'a.pt' does not exist"),
        ({"architecture": "ViT-B-32", "pretrained": "a/b"}, "the file 'a/b' does not exist"),
        ({"architecture": "hf-hub:a/b", "pretrained": "c"}, "which brings its own weights"),
        ({"architecture": "local-dir:a"}, "the folder 'a' holds no open_clip_config.json"),
        ({"architecture": "ViT-B-32", "pretrained": "c", "scale": 2}, "m.scale is for 'pretrained"),
    ],
)
def test_a_model_that_cannot_be_is_a_sentence(model, sentence):
    with pytest.raises(LpclipError) as error:
        check(**model)
    assert str(error.value).startswith("configuration: models.m")
    assert sentence in str(error.value)


def test_files_of_a_model_are_those_it_is_loaded_from(tmp_path):
    for name in ("open_clip_config.json", "w.safetensors"):
        (tmp_path / name).touch()
    assert len(local_files(f"local-dir:{tmp_path}", "")) == 2
    assert [str(path) for path in local_files("ViT-B-32", "a/w.pt")] == ["a/w.pt"]
    assert local_files("ViT-B-32", "openai") == local_files("hf-hub:a/b", "") == []
    assert local_files("x", "precomputed") == []


def test_the_hash_of_files_follows_what_is_in_them_wherever_they_lie(tmp_path):
    def saved(folder, data):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "w.pt").write_bytes(data)
        return files_hash([tmp_path / folder / "w.pt"])

    small, large = bytes(9), bytes(20 << 20)
    one_layer = large[: 9 << 20] + bytes([1]) * (64 << 10) + large[(9 << 20) + (64 << 10) :]
    assert saved("a", small) == saved("b", small) != saved("c", bytes(8) + b"x")
    assert saved("d", large) == saved("e", large) != saved("f", one_layer)
    assert saved("g", large + b"x") != files_hash([tmp_path / "d/w.pt"])
