"""The zero-shot head: of templates or of descriptions, the same whatever the threads."""

import os
import subprocess
import sys

import numpy as np
import pytest

from lpclip import cache
from lpclip.embed_text import embed_text
from lpclip.errors import LpclipError
from lpclip.model_spec import ModelSpec

MODEL = ModelSpec("tiny", "lpclip-tiny", "embedded")
NAMES = ["zero", "seven"]


def head(path, **texts):
    embed_text(output=path, model=MODEL, class_names=NAMES, device="cpu", **texts)
    with cache.open_file(path, kind="text") as file:
        return file["features"][...], cache.provenance_of(file)


def test_descriptions_that_say_what_templates_say_give_the_same_head(tmp_path):
    of_templates, _ = head(tmp_path / "t.h5", templates=["the {}.", "{}, a digit {}."])
    prompts = [["the zero.", "zero, a digit zero."], ["the seven.", "seven, a digit seven."]]
    of_prompts, provenance = head(tmp_path / "p.h5", prompts=prompts)
    np.testing.assert_array_equal(of_prompts, of_templates)
    assert "seven, a digit seven." in provenance["prompts"]
    assert provenance["precision"] == "fp32"


def test_classes_may_have_different_numbers_of_descriptions(tmp_path):
    found, _ = head(tmp_path / "p.h5", prompts=[["round", "a ring", "zero"], ["seven"]])
    alone, _ = head(tmp_path / "a.h5", prompts=[["zero"], ["seven"]])
    np.testing.assert_allclose(found[1], alone[1], atol=1e-6)
    assert np.abs(found[0] - alone[0]).max() > 1e-3
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        ({}, "either 'templates' or 'prompts'"),
        ({"templates": ["{}"], "prompts": [["a"], ["b"]]}, "either 'templates' or 'prompts'"),
        ({"prompts": [["a"]]}, "1 lists of prompts for 2 class names"),
        ({"prompts": [["a"], []]}, "none may be empty"),
    ],
)
def test_texts_that_are_no_head_are_refused(tmp_path, texts, sentence):
    with pytest.raises(LpclipError, match=sentence):
        head(tmp_path / "t.h5", **texts)


def test_threads_do_not_change_a_bit(tmp_path):
    settings = (
        '{"model": {"name": "tiny", "architecture": "lpclip-tiny", "pretrained": "embedded"},'
        f' "class_names": {[f"{i}" for i in range(150)]},'
        ' "templates": ["a photo of the number {}.", "the digit {}."]}'
    ).replace("'", '"')
    found = []
    for threads in ("1", "2"):
        path = tmp_path / f"{threads}.h5"
        command = ["embed-text", "--settings", settings, "--output", path, "--device", "cpu"]
        subprocess.run(
            [sys.executable, "-m", "lpclip", *command, "--threads", threads],
            check=True,
            env=os.environ,
        )
        found.append(path.read_bytes())
    assert found[0] == found[1]
