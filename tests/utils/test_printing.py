"""Control characters are escaped on the terminal and kept in files."""

import logging

import numpy as np
import pandas as pd
import pytest

from lpclip.cli.command import _parse_settings, main
from lpclip.errors import LpclipError
from lpclip.storage.samples import read_samples, write_samples
from lpclip.utils.printing import Formatter, show_data, visible

EVIL = "a\x1b[2J\x9b31m\u202egnp.exe\x07"
SHOWN = r"a\x1b[2J\x9b31m\u202egnp.exe\x07"


@pytest.mark.parametrize("text", ["plain", "é 数字 🙂 क्‍ष", "two\nlines", "±\u00a0", "عربى‌ها", ""])
def test_text_of_any_script_stays(text):
    assert visible(text) == text


@pytest.mark.parametrize(
    "character", [*map(chr, range(32)), *map(chr, range(0x7F, 0xA0)), *"\u2028\u2066\u200b\udc80"]
)
def test_controls_and_marks_of_direction_are_shown(character):
    kept = character == "\n"
    assert (visible(character) == character) is kept
    assert visible(character, keep="").isprintable()


def test_ids_in_a_cache_cannot_steer_the_terminal_of_inspect(tmp_path, capsys):
    path = tmp_path / "samples.h5"
    frame = pd.DataFrame({"id": [EVIL], "path": [EVIL + "\nlabel"], "label": np.int32([0])})
    write_samples(path, frame, {"dataset": EVIL})
    main(["inspect", str(path)])
    shown = capsys.readouterr().out
    assert f"dataset: {SHOWN}" in shown
    assert shown.count(SHOWN) == 3
    assert visible(shown) == shown
    assert read_samples(path, labels=False)["id"].tolist() == [EVIL]


def test_names_in_a_report_cannot_steer_the_terminal(tmp_path, capsys):
    names = {"model": EVIL, "benchmark": EVIL, "method": EVIL, "n_labels": 0, "n_seeds": 1}
    path = tmp_path / "report.csv"
    pd.DataFrame([names | {"accuracy": 0.5, "accuracy_std": ""}]).to_csv(path, index=False)
    for arguments in (["summary"], ["summary", "--format", "markdown"]):
        main([arguments[0], str(path), *arguments[1:]])
        shown = capsys.readouterr().out
        assert visible(shown) == shown
        assert SHOWN in shown


def test_an_error_and_a_log_cannot_steer_the_terminal(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["inspect", f"{tmp_path}/{EVIL}.h5"])
    error = capsys.readouterr().err
    assert f"{SHOWN}.h5 does not exist" in error
    assert visible(error) == error
    line = Formatter("%(message)s").format(
        logging.LogRecord("x", logging.INFO, "x", 1, "%s", (EVIL,), None)
    )
    assert line == SHOWN


def test_data_are_exact_in_files_and_visible_on_a_terminal(capsys, monkeypatch):
    show_data(EVIL)
    assert capsys.readouterr().out == EVIL
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    show_data(EVIL)
    assert capsys.readouterr().out == SHOWN


def test_settings_that_are_nested_too_deeply_are_a_sentence():
    with pytest.raises(LpclipError, match="--settings is not valid JSON: it is nested too deeply"):
        _parse_settings("[" * 100_000)
