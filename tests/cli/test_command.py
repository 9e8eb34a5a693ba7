"""The command line: help texts, short errors for user mistakes, fast start-up."""

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
    ],
)
def test_a_mistake_is_one_sentence_and_status_1(arguments, sentence):
    done = run(*arguments)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


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
