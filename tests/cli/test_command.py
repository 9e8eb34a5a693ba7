"""The command line: help texts, short errors for user mistakes, fast start-up."""

import json
import subprocess
import sys

import pytest

from lpclip.cli.command import main
from lpclip.cli.stages import STAGES
from lpclip.cli.tools import TOOLS


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "lpclip", *arguments], capture_output=True, text=True, check=False
    )


def test_the_overview_names_every_command(capsys):
    main(["--help"])
    shown = capsys.readouterr().out
    assert all(name in shown for name in (*STAGES, *TOOLS))


@pytest.mark.parametrize(
    "command", ["index-samples", "pseudo-labels", "train-probe", "evaluate-ood"]
)
def test_help_lists_options_and_settings(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    shown = capsys.readouterr().out
    assert "--output FILE" in shown
    assert "Settings and their defaults" in shown


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["embed-imges"], "Did you mean 'embed-images'?"),
        (["index-samples", "--output", "x", "--settings", "{"], "not valid JSON"),
        (["index-samples", "--output", "x", "--settings", "[]"], "must be a JSON object"),
        (["index-samples", "--output", "x", "--settings", '{"seed": NaN}'], "NaN is no number"),
        (["index-samples", "--output", "x", "--settings", "[" * 100_000], "nested too deeply"),
        (["index-samples", "--output", "x"], "lacks the setting 'dataset'"),
        (
            ["index-samples", "--output", "x", "--settings", '{"dataste": "a"}'],
            "Did you mean 'dataset'?",
        ),
        (["inspect", "nowhere.h5"], "nowhere.h5 does not exist"),
        (["summary", "nowhere.csv"], "nowhere.csv"),
        (["evaluate", "--threads", "none"], "positive whole number"),
        (["predictions", "--parts", "--output", "x", "--memory-gb", "0"], "a positive number"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_1(arguments, sentence):
    done = run(*arguments)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


TRAIN = {"benchmark": "b", "method": "m", "kind": "self_training", "seeds": [0], "settings": {}}
LABEL = {"labelling": {}}
MODEL = {"name": "m", "architecture": "lpclip-tiny", "pretrained": "embedded"}
DIGITS = {"kind": "digits", "split": "test"}
EMBED = {"dataset": "d", "source": DIGITS, "model": MODEL, "views": {"clean": {}}}
INDEX = {"dataset": "d", "source": DIGITS}
TEXT = {"model": MODEL, "class_names": ["a", "b"], "templates": ["{}"]}


@pytest.mark.parametrize(
    ("command", "usual", "changes", "sentence"),
    [
        ("train-probe", TRAIN, {"settings": {"start": "txet"}}, "Did you mean 'text'?"),
        ("train-probe", TRAIN, {"settings": {"rounds": -3}}, "rounds is -3; allowed: a whole"),
        (
            "train-probe",
            TRAIN,
            {"settings": {"labelling": {"labels": "hrad"}}},
            "method 'm': labelling.labels is 'hrad'; allowed: hard, soft. Did you mean 'hard'?",
        ),
        ("train-probe", TRAIN, {"settings": {"collapse": {"balance": 2}}}, "collapse.balance is 2"),
        (
            "train-probe",
            TRAIN,
            {"seeds": [-1]},
            "seeds.0 is -1; allowed: a whole",
        ),
        ("train-probe", TRAIN, {"seeds": []}, "seeds is empty"),
        ("train-probe", TRAIN, {"kind": "self_traning"}, "Did you mean 'self_training'?"),
        ("pseudo-labels", LABEL, {"labelling": {"prior": "atuo"}}, "Did you mean 'auto'?"),
        ("pseudo-labels", LABEL, {"labelling": {"threshold": 1.5}}, "labelling.threshold is 1.5"),
        ("index-samples", INDEX, {"seed": -1}, "seed is -1"),
        ("index-samples", INDEX, {"limit": 0}, "limit is 0"),
        ("index-samples", INDEX, {"on_bad_image": "skpi"}, "Did you mean 'skip'?"),
        ("index-samples", INDEX, {"stratified": {"share": 2}}, "stratified.share is 2"),
        ("index-samples", INDEX, {"source": {}}, "source lacks the setting 'kind'"),
        ("embed-images", EMBED, {"seed": -1}, "seed is -1"),
        ("embed-images", EMBED, {"batch_size": 0}, "batch_size is 0"),
        ("embed-images", EMBED, {"views": {"weak": {"versions": 0}}}, "view 'weak': versions is 0"),
        ("embed-images", EMBED, {"views": {"weak": {"flips": ["diagonal"]}}}, "flips.0 is 'diag"),
        (
            "embed-images",
            EMBED,
            {"views": {"strong": {"policy": "disjiont"}}},
            "view 'strong': policy is 'disjiont'; allowed: disjoint, overlapping. Did you mean",
        ),
        ("embed-images", EMBED, {"views": {"fog": {"severities": [6]}}}, "severities.0 is 6"),
        ("embed-images", EMBED, {"views": {"fgo": {}}}, "Did you mean 'fog'?"),
        ("embed-images", EMBED, {"model": {**MODEL, "precision": "fp61"}}, "Did you mean 'fp16'?"),
        (
            "embed-text",
            {"model": MODEL, "class_names": ["a"]},
            {"model": {**MODEL, "scale": 0}},
            "0",
        ),
        ("index-samples", INDEX, {"limit": "5"}, "This is text; write 5 without quotes."),
        ("embed-images", EMBED, {"views": {}}, "views is empty"),
        ("embed-images", EMBED, {"views": {"clean": {"versions": 2}}}, "has no settings"),
        ("pseudo-labels", LABEL, {"labelling": {}, "view": "waek"}, "Did you mean 'weak'?"),
        ("evaluate", {}, {"published": "imagenet_v3"}, "imagenet_r, objectnet. Did you mean"),
        ("evaluate-ood", {"dataset": "d"}, {"group": "neer"}, "Did you mean 'near'?"),
    ],
)
def test_a_stage_run_by_hand_refuses_what_the_configuration_refuses(
    command, usual, changes, sentence, tmp_path, capsys
):
    options = {
        "train-probe": ["--text", "t.h5"],
        "pseudo-labels": ["--text", "t.h5", "--features", "f.h5"],
        "embed-images": ["--samples", "s.h5"],
        "evaluate": ["--probes", "p.h5", "--features", "f.h5"],
        "evaluate-ood": [
            *("--probes", "p.h5", "--test", "t.h5", "--features", "f.h5"),
            *("--of-features", "f.csv", "--curves-of-features", "g.csv", "--curves", "c.csv"),
        ],
    }.get(command, [])
    settings = json.dumps({**usual, **changes})
    output = ["--output", str(tmp_path / "out.h5")]
    with pytest.raises(SystemExit) as exit_:
        main([command, *options, *output, "--settings", settings])
    assert exit_.value.code == 1
    printed = capsys.readouterr().err
    assert sentence in printed
    assert len(printed.strip().splitlines()) == 1


def test_a_path_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    done = run("inspect", str(tmp_path / "file" / "below.csv"))
    assert done.returncode == 1
    arguments = ["index-samples", "--output", str(tmp_path / "file/s.h5"), "--settings"]
    settings = '{"dataset": "d", "source": {"kind": "digits", "split": "test"}}'
    done = run(*arguments, settings)
    assert done.returncode == 1
    assert done.stderr.startswith("lpclip: ")
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_first_line_of_a_log_is_the_command(tmp_path):
    settings = '{"dataset": "d", "source": {"kind": "digits", "split": "test"}, "code": "abc"}'
    arguments = ["index-samples", "--output", str(tmp_path / "s.h5"), "--settings", settings]
    done = run(*arguments, "--log", str(tmp_path / "log"))
    assert done.returncode == 0, done.stderr
    first, *rest = (tmp_path / "log").read_text().splitlines()
    assert first.startswith("lpclip index-samples --output ")
    assert settings in first
    assert "indexed 899 images" in rest[-1]


@pytest.mark.parametrize(
    "module",
    [
        "lpclip.evaluation.robustness",
        "lpclip.evaluation.detection",
        "lpclip.reporting.stage",
        "lpclip.methods.labelling.pseudo_labels",
    ],
)
def test_stages_without_torch_do_not_import_it(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
