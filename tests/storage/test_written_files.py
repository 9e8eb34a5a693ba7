"""Output paths of a command are checked before it starts work."""

import inspect
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lpclip.cli import command as cli
from lpclip.cli import log_files
from lpclip.cli.command import main
from lpclip.cli.predict import predict
from lpclip.cli.stages import STAGES
from lpclip.errors import LpclipError
from lpclip.utils.writable import check_output_file, check_output_folder

# Some stages write and others read files given by parameters with these names.
READ = {("report", "per_class"), ("report", "confusion"), ("report", "reliability")}


def status(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    return stopped.value.code, capsys.readouterr().err


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    return path


@pytest.fixture
def read_only(tmp_path):
    """A read-only disk, which also applies to root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("cannot mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("below", ["", "made/later/"])
def test_what_can_be_written_leaves_no_trace(tmp_path, below):
    check_output_file(tmp_path / f"{below}out.csv")
    check_output_folder(tmp_path / f"{below}out")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_already_may_be_replaced(file):
    check_output_file(file)
    with pytest.raises(LpclipError, match="is a file"):
        check_output_folder(file)


def test_a_place_below_a_file_is_refused(file):
    for check in (check_output_file, check_output_folder):
        with pytest.raises(LpclipError, match="file is a file, not a folder"):
            check(file / "below" / "out.csv")


def test_names_that_the_file_system_does_not_take_are_refused(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for name, sentence in [("x" * 250, "name is too long"), ("loop", "leads back to itself")]:
        with pytest.raises(LpclipError, match=sentence):
            check_output_file(tmp_path / name)


def test_a_link_is_checked_where_it_leads(tmp_path, file):
    link = tmp_path / "link"
    for place, sentence in [(file / "x", "not a folder"), (Path(os.devnull), "is a device")]:
        link.unlink(missing_ok=True)
        link.symlink_to(place)
        with pytest.raises(LpclipError, match=sentence):
            check_output_file(link)


def test_a_disk_that_can_only_be_read_is_refused(read_only):
    for check in (check_output_file, check_output_folder):
        with pytest.raises(LpclipError, match="can only be read"):
            check(read_only / "folder/out")


def test_a_file_of_another_user_in_a_shared_folder_is_refused(tmp_path, monkeypatch, file):
    tmp_path.chmod(0o1777)
    check_output_file(file)
    monkeypatch.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)
    with pytest.raises(LpclipError, match="belongs to another user"):
        check_output_file(file)
    check_output_file(tmp_path / "new.csv")


def outputs():
    """Yield every file that a stage writes: the command and the option."""
    for command in STAGES:
        for name, option in cli._file_options(cli._function(command)).items():
            if option.check is not None:
                yield command, name


def test_every_file_that_a_stage_writes_is_declared():
    found = {}
    for command, name in outputs():
        found.setdefault(command, set()).add(name)
    assert found.keys() == STAGES.keys()
    written = set.union(*found.values())
    assert written == {
        "output", "timings", "curves", "reliability", "predictions", "per_class", "confusion",
        "classes",
    }  # fmt: skip
    for command in STAGES:
        names = set(inspect.signature(cli._function(command)).parameters) & written
        assert names - found[command] == {name for stage, name in READ if stage == command}


@pytest.mark.parametrize(("command", "name"), list(outputs()))
def test_a_stage_does_not_begin_what_it_cannot_write(tmp_path, file, capsys, command, name):
    """The inputs do not exist: the stage would fail on them if it started."""
    options = ["--log", tmp_path / "log"]
    function = cli._function(command)
    for other, option in cli._file_options(function).items():
        if inspect.signature(function).parameters[other].default is inspect.Parameter.empty:
            options += [f"--{cli._dashed(other)}", tmp_path / f"{other}.x"]
        assert isinstance(option.several, bool)
    options += [f"--{cli._dashed(name)}", file / "below" / "out.x"]
    code, printed = status([command, *options], capsys)
    assert code == 1
    assert "is a file, not a folder" in printed
    assert "is a file, not a folder" in (tmp_path / "log").read_text()
    assert len(printed.splitlines()) == 1


@pytest.mark.parametrize("place", ["a device", "a pipe", "a socket", "a folder"])
def test_no_stage_replaces_what_is_no_file(tmp_path, capsys, place):
    path = tmp_path / "out.h5"
    if place == "a device":
        path = Path(os.devnull)
    elif place == "a pipe":
        os.mkfifo(path)
    elif place == "a socket":
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(str(path))
    else:
        path.mkdir()
    settings = json.dumps({"dataset": "d", "source": {"kind": "digits", "split": "adapt"}})
    code, printed = status(["index-samples", "--output", path, "--settings", settings], capsys)
    assert code == 1
    assert printed == f"lpclip: {path} is {place}, not a file. Name a file to write.\n"
    assert not path.is_file()


@pytest.mark.parametrize("other", ["--log", "--samples", "--timings"])
def test_two_options_may_not_name_one_file(tmp_path, capsys, other):
    link, file = tmp_path / "link.h5", tmp_path / "out.h5"
    file.write_text("precious")
    link.symlink_to(file)
    options = {"--samples": tmp_path / "s.h5", "--output": file} | {other: link}
    arguments = [text for pair in options.items() for text in pair]
    code, printed = status(["embed-images", *arguments], capsys)
    assert code == 1
    assert "name the same file" in printed
    assert file.read_text() == "precious"


@pytest.mark.parametrize("tool", ["predict", "export"])
def test_a_tool_does_not_begin_what_it_cannot_write(tmp_path, file, capsys, tool):
    probe = ["--probe", tmp_path / "missing.h5", "--output", file / "below" / "out.csv"]
    more = [tmp_path / "missing.png"] if tool == "predict" else ["--to", "torch"]
    code, printed = status([tool, *more, *probe], capsys)
    assert code == 1
    assert "is a file, not a folder" in printed


def test_predict_checks_its_output_before_it_reads_anything(tmp_path):
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(LpclipError, match="is a folder, not a file"):
        predict(
            probes=tmp_path / "missing.h5",
            inputs=[tmp_path / "missing.png"],
            output=tmp_path / "out.csv",
        )


def test_a_full_standard_output_is_a_sentence():
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "lpclip", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "lpclip: standard output: No space left on device.\n"


def test_a_log_that_cannot_be_written_on_is_one_sentence(capsys):
    handler = log_files._LogFile("/dev/full")
    cli.log.addHandler(handler)
    try:
        cli.log.error("lost")
    finally:
        cli.log.removeHandler(handler)
    assert capsys.readouterr().err == (
        "lpclip: /dev/full: No space left on device. The log ends.\n"
    )


def test_a_working_directory_that_is_gone_is_a_sentence(tmp_path, monkeypatch, capsys):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    code, printed = status(["index-samples", "--output", "x.h5"], capsys)
    assert (code, printed) == (1, "lpclip: the working directory: No such file or directory.\n")
