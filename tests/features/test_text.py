"""The zero-shot head from templates or descriptions; the number of threads has no effect."""

import json
import os
import subprocess
import sys

import numpy as np
import open_clip
import pytest

from lpclip.cli.command import main
from lpclip.errors import LpclipError
from lpclip.features.text import embed_text, token_count
from lpclip.models.spec import ModelSpec
from lpclip.storage.hdf5 import open_file, provenance_of
from tests.helpers.clip_folders import siglip_folder

MODEL = ModelSpec("tiny", "lpclip-tiny", "embedded")
NAMES = ["zero", "seven"]


def head(path, names=NAMES, **texts):
    embed_text(output=path, model=MODEL, class_names=names, device="cpu", **texts)
    with open_file(path, kind="text") as file:
        return file["features"][...], provenance_of(file)


def test_descriptions_that_say_what_templates_say_give_the_same_head(tmp_path):
    of_templates, _ = head(tmp_path / "t.h5", templates=["the {}.", "{}, a digit {}."])
    prompts = [["the zero.", "zero, a digit zero."], ["the seven.", "seven, a digit seven."]]
    of_prompts, provenance = head(tmp_path / "p.h5", prompts=prompts)
    np.testing.assert_array_equal(of_prompts, of_templates)
    assert "seven, a digit seven." in provenance["prompts"]
    assert provenance["precision"] == "fp32"


def test_more_descriptions_than_an_attribute_holds_are_stored_as_their_hash(tmp_path):
    prompts = [[f"{name} {number}" + 90 * " " for number in range(350)] for name in NAMES]
    _, provenance = head(tmp_path / "p.h5", prompts=prompts)
    assert provenance["prompts"].startswith("sha256 ")


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


LONG = "a photo taken by hand of the number and of nothing but the number which is called {}."


@pytest.mark.parametrize(
    ("names", "template", "sentence"),
    [
        (
            ["dog", "zero", "cat", "person"],
            "a photo of a {}.",
            "3 classes have the same text features ('dog', 'cat', 'person'), so the head cannot "
            "distinguish them. Model 'tiny' does not distinguish their words. Give them",
        ),
        (
            ["zero", "seven"],
            LONG,
            "('zero', 'seven'), so the head cannot distinguish them. Their prompts, of up to 21 "
            "tokens, are truncated to 16, before they differ. ",
        ),
        (
            ["Zero", "zero"],
            "{}",
            "The tokenizer maps their prompts to the same tokens ('Zero', 'zero'). ",
        ),
        (["zero", "one"], "a photo of a {c}.", "tokens ('a photo of a {c}.', 'a photo of a {c}.')"),
    ],
)
def test_classes_that_the_model_does_not_distinguish_are_refused(
    tmp_path, names, template, sentence
):
    with pytest.raises(LpclipError) as error:
        head(tmp_path / "t.h5", names=names, templates=[template])
    assert str(error.value).startswith("model 'tiny': ")
    assert sentence in str(error.value)
    assert not (tmp_path / "t.h5").exists()


def test_a_truncated_prompt_is_named_where_users_look(tmp_path, capsys):
    settings = {
        "model": {"name": "tiny", "architecture": "lpclip-tiny", "pretrained": "embedded"},
        "class_names": NAMES,
        "prompts": [["zero", "zero " * 14], ["seven", LONG.replace("{}", "seven")]],
    }
    log, output = str(tmp_path / "t.log"), str(tmp_path / "t.h5")
    main(["embed-text", "--settings", json.dumps(settings), "--output", output, "--log", log])
    said = (
        "model 'tiny': 1 of 4 prompts are longer than the 16 tokens that the model takes, and are "
        f"truncated: '{LONG.replace('{}', 'seven')}' of class 'seven' (21 tokens)\n"
    )
    assert capsys.readouterr().err == f"lpclip: warning: {said}"
    assert f"WARNING {said}" in (tmp_path / "t.log").read_text()


def test_tokens_are_counted_as_each_kind_of_tokenizer_makes_them(tmp_path):
    pytest.importorskip("transformers")
    own = open_clip.get_tokenizer(f"local-dir:{siglip_folder(tmp_path / 'siglip')}")
    clips = open_clip.SimpleTokenizer(context_length=77)
    for text in ("", "a photo of the Cat!", "a photo, of a small dog  the cat"):
        for tokenizer, end in ((own, 1), (clips, clips.eot_token_id)):
            row = tokenizer([text], context_length=40)[0].tolist()
            assert token_count(tokenizer, text) == row.index(end) + 1


def test_prompts_that_a_tokenizer_of_transformers_cuts_are_named(tmp_path, caplog):
    pytest.importorskip("transformers")
    folder = siglip_folder(tmp_path / "siglip")
    words = ["a photo of the cat", "small dog " * 7 + "a", "the cat " * 8]
    names = ["fits", "fits exactly", "is cut"]
    embed_text(
        output=tmp_path / "t.h5",
        model=ModelSpec("m", f"local-dir:{folder}"),
        class_names=names,
        prompts=[[text] for text in words],
        device="cpu",
    )
    assert "1 of 3 prompts are longer than the 16 tokens" in caplog.text
    assert "of class 'is cut' (17 tokens)" in caplog.text
