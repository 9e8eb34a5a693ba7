"""Every command says what a file of the wrong kind is, what was expected, and what to do."""

import gzip
import json
import os
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

from lpclip.cli.command import main
from lpclip.storage import (
    features,
    file_kinds,
    layout,
    predictions,
    probes,
    pseudo_labels,
    samples,
    text,
    thumbnails,
)
from lpclip.storage.file_kinds import KINDS, type_of
from tests.helpers import ROOT

STORED = ROOT / "tests/data/stored/0.1"
OTHERS = {
    "an empty file": lambda path: path.touch(),
    "a file of zero bytes only": lambda path: path.write_bytes(bytes(9000)),
    "a file of unknown type": lambda path: path.write_bytes(bytes(range(1, 256)) * 40),
    "a folder": Path.mkdir,
    "a CSV file": lambda path: path.write_text("id;path\n1;é\n"),
    "a text file": lambda path: path.write_text("Some words, with a comma.\nMore of them.\n"),
    "a JSON file": lambda path: path.write_text(json.dumps({"a": [1, 2]})),
    "an HTML page": lambda path: path.write_text("<!DOCTYPE html>\n<title>Log in</title>"),
    "a pointer of Git LFS (git lfs pull fetches it)": lambda path: path.write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"
    ),
    "a PNG image": lambda path: Image.new("RGB", (9, 9)).save(path, "PNG"),
    "a JPEG image": lambda path: Image.new("RGB", (9, 9)).save(path, "JPEG"),
    "a WebP image": lambda path: Image.new("RGB", (9, 9)).save(path, "WEBP"),
    "a TIFF image": lambda path: Image.new("RGB", (9, 9)).save(path, "TIFF"),
    "a Parquet file": lambda path: pd.DataFrame({"a": [1]}).to_parquet(path),
    "a safetensors file": lambda path: save_file({"a": np.zeros(2)}, path),
    "a zip archive, as checkpoints of PyTorch and .npz files are": lambda path: torch.save(
        {"a": torch.zeros(2)}, path
    ),
    "a text file in UTF-16": lambda path: path.write_text("a,b\n1,2\n", encoding="utf-16"),
    "a gzip archive": lambda path: path.write_bytes(gzip.compress(b"text")),
}
HDF5_OTHERS = {
    "an HDF5 file of another program": "foreign.h5",
    "a feature cache of lpclip": "clean.h5",
    "an index of images of lpclip": "samples.h5",
    "a file of text features of lpclip": "text.h5",
    "a file of pseudo-labels of lpclip": "pseudo_labels.h5",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return a folder with the stored files, and a file of every other type by its name."""
    folder = tmp_path_factory.mktemp("files")
    for path in STORED.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    with h5py.File(folder / "foreign.h5", "w") as file:
        file["x"] = np.arange(3)
    made = {}
    for number, (name, make) in enumerate(OTHERS.items()):
        made[name] = folder / f"other-{number}.h5"
        make(made[name])
    return folder, made


def error_of(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments)])
    assert ended.value.code == 1
    return capsys.readouterr().err


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_is_told_by_its_content(files, name):
    assert type_of(files[1][name]) == name


def test_text_that_is_cut_within_a_character_is_text(tmp_path):
    path = tmp_path / "a"
    path.write_text("x" * (file_kinds.START - 1) + "é")
    assert type_of(path) == "a text file"
    path.write_bytes(b"x" * 9 + b"\xe9 latin\n")
    assert type_of(path) == file_kinds.UNKNOWN


def test_text_that_starts_like_another_file_is_text(tmp_path):
    for start in ("PAR1", "GIF89a", "%PDF-", "%!PS"):
        (tmp_path / "a").write_text(f"{start} is a word\n")
        assert type_of(tmp_path / "a") == "a text file"
    (tmp_path / "a.csv").write_text("PAR1_score,label\n1,2\n")
    assert type_of(tmp_path / "a.csv") == "a CSV file"


def test_pipes_are_not_opened(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    assert type_of(tmp_path / "pipe") == "a pipe, a socket or a device"
    audit = ("audit", "--labels", tmp_path / "pipe")
    stored = ("--probe", STORED / "probes.h5", "--features", STORED / "clean.h5")
    assert "pipe is a pipe, a socket or a device" in error_of(capsys, *audit, *stored)


def test_hdf5_after_a_block_of_the_user_is_hdf5(tmp_path):
    with h5py.File(tmp_path / "a", "w", userblock_size=1024) as file:
        file["x"] = np.arange(3)
    assert type_of(tmp_path / "a") == "an HDF5 file"
    assert type_of(STORED / "probes.h5") == "an HDF5 file"


def test_every_kind_that_lpclip_writes_has_a_name():
    written = (features, layout, predictions, probes, pseudo_labels, samples, text, thumbnails)
    assert {module.KIND for module in written} == set(KINDS)


def commands(folder, path):
    """Return a command for each place of a file, and what it expects there."""
    probes, clean = folder / "probes.h5", folder / "clean.h5"
    audit = ("audit", "--output", folder / "list.csv")
    atlas = ("export", "--probe", probes, "--to", "atlas", "--output", folder / "atlas")
    return [
        (("predict", "--probe", path, clean), "a file of probes"),
        (("predict", "--probe", probes, "--adapt", path, clean), "a feature cache"),
        (("predict", "--probe", probes, path), "a feature cache"),
        (
            ("export", "--probe", path, "--to", "torch", "--output", folder / "o"),
            "a file of probes",
        ),
        ((*atlas, "--layout", path, "--features", clean), "a layout of images"),
        ((*audit, "--probe", path, "--features", clean), "a file of probes"),
        ((*audit, "--probe", probes, "--features", path), "a feature cache"),
        (("push", "--probe", path, "--output", folder / "p"), "a file of probes"),
    ]


@pytest.mark.parametrize("name", [*OTHERS, *HDF5_OTHERS])
def test_a_command_says_what_a_file_is_and_what_it_expects(files, capsys, name):
    folder, made = files
    path = made.get(name) or folder / HDF5_OTHERS[name]
    damaged = name in (file_kinds.EMPTY, file_kinds.ZEROS, file_kinds.UNKNOWN)
    advice = f"--forcerun {path}" if damaged else "Name a file such as "
    for command, wanted in commands(folder, path):
        if f"{wanted} of lpclip" != name:
            text = error_of(capsys, *command)
            assert f"{path} is {name}, not {wanted}." in text
            assert advice in text
            assert text.count("\n") == 1


@pytest.mark.parametrize("name", OTHERS)
def test_a_reader_of_reports_says_what_a_file_is(files, capsys, name):
    folder, made = files
    path = made[name]
    for command in (("summary", path), ("compare", path, folder / "report.csv")):
        text = error_of(capsys, *command)
        if name == file_kinds.UNKNOWN:
            assert f"{path} is damaged or not a CSV file (" in text
        else:
            assert f"{path} is {name}, " in text
        assert "Name a file such as results/report.csv." in text or "--forcerun" in text
    text = error_of(capsys, "summary", folder / "probes.h5")
    assert "is an HDF5 file, not a CSV file. Name a file such as results/report.csv." in text


def test_a_list_of_an_audit_is_told_from_other_files(files, capsys):
    folder, made = files
    audit = ("audit", "--probe", folder / "probes.h5", "--features", folder / "clean.h5")
    for name in ("a folder", "a PNG image", "a Parquet file"):
        text = error_of(capsys, *audit, "--labels", made[name])
        assert f"is {name}, not a text file." in text
    for name in ("a CSV file", "a text file", "a JSON file", "an HTML page"):
        text = error_of(capsys, *audit, "--labels", made[name])
        assert f"is {name}, but no list of lpclip audit: it lacks the columns order, " in text
        assert "Name the file that --output wrote" in text


def test_a_file_in_place_of_a_folder_of_reports_is_told(files, capsys):
    folder, made = files
    push = ("push", "--probe", folder / "probes.h5", "--output", folder / "pushed", "--results")
    assert "is a CSV file. Name the folder" in error_of(capsys, *push, made["a CSV file"])


@pytest.mark.parametrize("kept", [4, 20_000])
def test_only_a_file_with_the_signature_of_hdf5_is_truncated(tmp_path, capsys, kept):
    path = tmp_path / "probes.h5"
    path.write_bytes((STORED / "probes.h5").read_bytes()[:kept])
    for command in (("inspect", path), ("predict", "--probe", path, STORED / "clean.h5")):
        assert "is truncated. Copy or download it again." in error_of(capsys, *command)
