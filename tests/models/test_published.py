"""Copies of published weights: the right activation and preprocessing, or a warning."""

import pytest
import torch
from open_clip.transformer import QuickGELU

from lpclip.errors import LpclipError
from lpclip.models.published import check_activation, check_weights, preprocessing, published
from lpclip.models.spec import ModelSpec


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mine.pt", "ViT-L-14-openai.pt", "laion2b_s32b_b82k.pt", "ViT-H-14-dfn5b.pt"):
        (tmp_path / name).touch()


def check(architecture, pretrained, force_quick_gelu=None):
    check_weights(
        ModelSpec("m", architecture, pretrained, force_quick_gelu), published(architecture)
    )


@pytest.mark.parametrize(
    ("architecture", "pretrained"),
    [("ViT-L-14", "openai"), ("ViT-L-14", "ViT-L-14-openai.pt"), ("ViT-L-14-336", "openai")],
)
def test_weights_trained_with_quickgelu_are_refused_without_it(architecture, pretrained):
    with pytest.raises(LpclipError, match=r"silently wrong\. Set force_quick_gelu: true"):
        check(architecture, pretrained)
    check(f"{architecture}-quickgelu", pretrained)
    check(architecture, pretrained, force_quick_gelu=True)


def test_weights_trained_without_quickgelu_are_refused_with_it():
    with pytest.raises(LpclipError, match=r"trained without QuickGELU.*Remove force_quick_gelu"):
        check("ViT-L-14", "laion2b_s32b_b82k", force_quick_gelu=True)
    with pytest.raises(LpclipError, match="trained without QuickGELU"):
        check("ViT-L-14-quickgelu", "laion2b_s32b_b82k.pt")
    check("ViT-L-14", "laion2b_s32b_b82k")


def test_a_file_that_says_nothing_of_its_activation_is_warned_of_until_it_is_said(caplog):
    def loaded(architecture, pretrained, force=None, built=torch.nn.GELU):
        check_activation(ModelSpec("m", architecture, pretrained, force), "m", built(), None)

    loaded("ViT-L-14", "mine.pt")
    assert "set force_quick_gelu: true; if not, false" in caplog.text
    caplog.clear()
    loaded("ViT-L-14", "mine.pt", force=False)
    loaded("ViT-L-14", "ViT-L-14-openai.pt", force=False)
    loaded("ViT-L-14-quickgelu", "mine.pt", built=QuickGELU)
    loaded("ViT-B-16-SigLIP", "mine.pt")
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("trained", "built", "cure"),
    [
        (True, torch.nn.GELU, "trained with QuickGELU.*without it.*Set force_quick_gelu: true"),
        (False, QuickGELU, "trained without QuickGELU.*with it.*remove -quickgelu"),
    ],
)
def test_a_file_that_names_its_activation_is_held_to_it_unless_the_configuration_settles_it(
    trained, built, cure
):
    with pytest.raises(LpclipError, match=cure):
        check_activation(ModelSpec("m", "ViT-L-14", "mine.pt"), "mine.pt", built(), trained)
    for force in (True, False):
        check_activation(ModelSpec("m", "ViT-L-14", "mine.pt", force), "m", built(), trained)


@pytest.mark.parametrize(
    ("architecture", "pretrained", "mean", "mode"),
    [
        ("ViT-B-32", "mine.pt", 0.48145466, "shortest"),
        ("ViT-B-16-SigLIP", "mine.pt", 0.5, "squash"),
        ("ViT-B-16-SigLIP2", "mine.pt", 0.5, "squash"),
        ("ViT-L-14", "laion2b_s32b_b82k.pt", 0.5, "shortest"),
        ("ViT-L-14", "ViT-L-14-openai.pt", 0.48145466, "shortest"),
        ("ViT-H-14-quickgelu", "ViT-H-14-dfn5b.pt", 0.48145466, "squash"),
    ],
)
def test_images_of_a_file_are_prepared_as_for_the_published_weights(
    architecture, pretrained, mean, mode
):
    found = preprocessing(ModelSpec("m", architecture, pretrained), published(architecture))
    assert (found["mean"][0], found["resize_mode"]) == (mean, mode)
    assert found["interpolation"] == "bicubic"


def test_where_published_weights_differ_and_the_file_names_none_the_log_says_so(caplog):
    assert preprocessing(ModelSpec("m", "ViT-L-14", "mine.pt"), published("ViT-L-14")) == {}
    assert "differ in how images are prepared" in caplog.text
    assert preprocessing(ModelSpec("m", "lpclip-tiny", "mine.pt"), {}) == {}
