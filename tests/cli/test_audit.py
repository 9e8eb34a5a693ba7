"""The list of images to label, the way back, and labels that no training can reach."""

import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from lpclip.cli.audit import COLUMNS, audit_of, disagreements, read_labels, write_list
from lpclip.cli.audit_text import statement
from lpclip.cli.command import main
from lpclip.cli.stages import STAGES
from lpclip.errors import LpclipError
from lpclip.metrics.audit import Labelled
from lpclip.storage.frames import read_frame
from lpclip.storage.probe import load_probe
from tests.helpers import ROOT
from tests.helpers.audits import NAMES, N, fill, write_audited
from tests.test_floors import imports, modules


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audited")
    write_audited(folder)
    return folder


@pytest.fixture
def written(folder, tmp_path):
    """Return the list with all disagreements, and the files it was made from."""
    files = {"probes": folder / "probes.h5", "features": folder / "clean.h5"}
    write_list(disagreements(**files), tmp_path / "audit.csv", n=1000)
    return tmp_path / "audit.csv", files


def read(path, files):
    return read_labels(audit_of(path, **files), path)


def test_the_list_has_every_image_for_which_the_two_predict_another_class(folder, written):
    path, _ = written
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert list(table) == list(COLUMNS)
    frame = read_frame(folder / "clean.h5").set_index("id")
    values = frame.filter(regex=r"^d\d").to_numpy()
    before, after = (
        np.array(NAMES)[load_probe(folder / "probes.h5", round=n, seed=3).logits(values).argmax(1)]
        for n in (0, 1)
    )
    differ = before != after
    assert 20 < differ.sum() < N - 20
    assert set(table["id"]) == set(frame.index[differ])
    chosen = frame.index.get_indexer(table["id"])
    assert table["zero_shot"].tolist() == before[chosen].tolist()
    assert table["head"].tolist() == after[chosen].tolist()
    assert table["path"].tolist() == frame["path"].iloc[chosen].tolist()
    assert set(table["label"]) == {""}
    assert table["order"].tolist() == [str(n) for n in range(1, len(table) + 1)]


def test_the_order_depends_on_seed_and_ids_alone_and_any_start_is_a_random_sample(folder):
    files = {"probes": folder / "probes.h5", "features": folder / "clean.h5"}
    orders = [[row["id"] for row in disagreements(**files, order=seed).rows] for seed in range(60)]
    assert orders[0] == [row["id"] for row in disagreements(**files).rows]
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != orders[1]
    # How often each image is among the first quarter.
    n = len(orders[0]) // 4
    first = pd.Series([one for order in orders for one in order[:n]]).value_counts()
    share, spread = n / len(orders[0]), 4.5 * np.sqrt(0.25 * 0.75 / 60)
    assert len(first) == len(orders[0])
    assert (first / 60 - share).abs().max() < spread
    # Another seed of the head has other disagreements, and those in both keep their order.
    other = [row["id"] for row in disagreements(**files, seed=8).rows]
    both = set(other) & set(orders[0])
    assert set(other) != set(orders[0])
    assert [one for one in other if one in both] == [one for one in orders[0] if one in both]


def test_labels_are_counted_as_wins_losses_and_neither(written):
    path, files = written
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    third = next(name for name in NAMES if name not in (table["zero_shot"][4], table["head"][4]))
    labels = {1: "head", 2: "head", 3: "zero_shot", 4: "other", 5: third, 6: " other "}
    found = read(fill(path, labels), files)
    assert found == Labelled(2, 1, 3, disagreements=len(table), images=N)
    assert read(path, files) == Labelled(0, 0, 0, disagreements=len(table), images=N)


def test_rows_in_another_order_and_without_what_is_not_labelled_are_read_alike(written):
    path, files = written
    filled = fill(path, {1: "head", 2: "zero_shot", 3: "head"})
    table = pd.read_csv(filled, dtype=str, keep_default_na=False)
    expected = read(filled, files)
    table.iloc[[2, 0, 1, 8]].to_csv(filled, index=False, sep=";", encoding="utf-16")
    assert read(filled, files) == expected


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ({1: "dgo"}, r"line 2: the label 'dgo' is no class\. Did you mean 'dog'\?.*write other\."),
        (
            {1: "dog", 4: "cat", 6: "cat"},
            r"no label for image 2, 3, 5 of the list, but for 2 after",
        ),
        ({2: "dog"}, r"no label for image 1 of the list, but for 1 after.*remove the labels"),
    ],
)
def test_labels_that_would_mislead_are_refused(written, labels, sentence):
    path, files = written
    with pytest.raises(LpclipError, match=sentence):
        read(fill(path, labels), files)


def test_a_list_that_was_edited_or_is_of_other_probes_is_refused(written, tmp_path):
    path, files = written
    table = pd.read_csv(path, dtype=str, keep_default_na=False)

    def refused(sentence, changed, **others):
        changed.to_csv(tmp_path / "changed.csv", index=False)
        with pytest.raises(LpclipError, match=sentence):
            read(tmp_path / "changed.csv", {**files, **others})

    way_out = r".*Name the files that it was written with, or write a new list"
    other = "dog" if table["head"][0] == "cat" else "cat"
    for name, value in (("id", "x"), ("zero_shot", other), ("head", other)):
        changed = table.copy()
        changed.loc[0, name] = value
        refused(f"line 2: {name} is '{value}', but for image 1 of" + way_out, changed)
    refused("the order is 'one', not a whole number", table.assign(order="one"))
    refused("not a whole number", table.assign(order="9" * 5000))
    refused("image 999 of the list it is 'nothing'", table.assign(order="999"))
    refused("column 'audit' does not hold one text", table.assign(audit="mine"))
    refused("it lacks the columns label", table.drop(columns="label"))
    twice = pd.concat([table.assign(label="cat"), table.assign(label="cat").head(1)])
    refused("image 1 of the list is there twice", twice)
    (tmp_path / "other").mkdir()
    write_audited(tmp_path / "other", stage="another")
    probes = tmp_path / "other/probes.h5"
    refused("is a list for the probes [0-9a-f]{16}, but", table, probes=probes)
    with pytest.raises(LpclipError, match=r"nowhere\.csv does not exist"):
        read(tmp_path / "nowhere.csv", files)


def test_the_seed_and_the_order_of_the_list_are_found_again(folder, tmp_path):
    files = {"probes": folder / "probes.h5", "features": folder / "clean.h5"}
    audit = disagreements(**files, seed=8, order=5)
    assert write_list(audit, tmp_path / "audit.csv", n=7) == 7
    filled = fill(tmp_path / "audit.csv", dict.fromkeys(range(1, 8), "head"))
    assert audit_of(filled, **files) == audit
    assert read(filled, files).wins == 7


def interval_in(text):
    low, high = re.search(r" % interval +(\S+) to (\S+) \(two", text).groups()
    return float(low), float(high)


def run(capsys, *arguments):
    main(["audit", *map(str, arguments)])
    return capsys.readouterr().out


def test_the_command_writes_a_list_and_reports_what_its_labels_show(folder, tmp_path, capsys):
    files = ("--probe", folder / "probes.h5", "--features", folder / "clean.h5")
    path = tmp_path / "audit.csv"
    said = run(capsys, *files, "--output", path, "--n", 30)
    assert said.startswith(f"{path}: 30 images to label, of ")
    assert "Not decided: there is no label yet." in run(capsys, *files, "--labels", path)
    for side, verdict in (
        ("head", "guarded is better than zero-shot (one-sided confidence above 99.9 %)."),
        ("zero_shot", "guarded is worse than zero-shot (one-sided confidence above 99.9 %). Ship"),
    ):
        filled = fill(path, dict.fromkeys(range(1, 31), side))
        found = run(capsys, *files, "--labels", filled)
        assert verdict in found
        assert "30 of the " in found
        assert "(two-sided, exact)" in found
    even = {n: ("head", "head", "zero_shot")[n % 3] for n in range(1, 13)}
    found = run(capsys, *files, "--labels", fill(path, even))
    assert "Not decided (one-sided confidence that guarded is better: " in found
    assert "more will decide it." in found
    strict = run(capsys, *files, "--labels", path.with_name("filled.csv"), "--confidence", 98.3)
    assert "98.3 % interval" in strict
    assert interval_in(strict)[0] < interval_in(found)[0]
    assert interval_in(strict)[1] > interval_in(found)[1]


def test_all_images_labelled_leave_no_question(written):
    path, files = written
    audit = audit_of(path, **files)
    sides = {n: ("head", "zero_shot")[n % 2] for n in range(1, len(audit.rows) + 1)}
    found = read(fill(path, sides), files)
    assert "zero-shot on these images: all are labelled." in statement(audit, found)


def test_a_head_that_predicts_what_zero_shot_predicts_has_nothing_to_label(
    folder, tmp_path, capsys
):
    files = ("--probe", folder / "probes.h5", "--features", folder / "clean.h5")
    said = run(capsys, *files, "--round", 0, "--output", tmp_path / "audit.csv")
    assert "predict the same class for all 120 images: there is nothing to label" in said
    assert not (tmp_path / "audit.csv").exists()


def test_a_mistake_is_a_sentence(folder, tmp_path, capsys):
    files = ("--probe", folder / "probes.h5", "--features", folder / "clean.h5")
    for arguments, sentence in (
        ((*files,), "takes either --labels, or --output and --gallery"),
        ((*files, "--labels", "a.csv", "--output", "b.csv"), "takes either --labels"),
        ((*files, "--output", tmp_path / "a.txt"), "a.txt does not end in .csv"),
        ((*files, "--output", tmp_path / "a.csv", "--n", 0), "--n takes a positive whole number"),
        ((*files, "--output", tmp_path / "a.csv", "--seed", 1), "has no seed 1"),
        ((*files, "--labels", "a.csv", "--confidence", 0.95), "--confidence is 0.95; give more"),
        ((*files, "--gallery", tmp_path / "a.html"), "--gallery needs --samples"),
        (
            (*files[:2], *files[2:3], folder / "probes.h5", "--output", "a.csv"),
            "not a feature cache",
        ),
    ):
        with pytest.raises(SystemExit) as stop:
            run(capsys, *arguments)
        assert stop.value.code == 1
        assert sentence in capsys.readouterr().err


def test_a_word_for_neither_is_never_a_class(folder):
    audit = disagreements(probes=folder / "probes.h5", features=folder / "clean.h5")
    assert audit.neither == "other"
    named = type(audit)("m", ("other", "x"), 1, [], "")
    assert named.neither == "neither"


def test_no_stage_and_nothing_that_trains_or_reports_can_reach_the_labels_of_an_audit():
    assert "audit" not in STAGES
    known = modules()
    graph = {name: imports(name, path, known) for name, path in known.items()}
    readers = {name for name, others in graph.items() if "lpclip.cli.audit" in others}
    assert readers <= {name for name in graph if name.startswith("lpclip.cli.")}
    assert "lpclip.cli.audit_options" in readers
    rules = [path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk")]
    assert len(rules) > 5
    assert not any("audit" in text for text in rules)


def test_the_list_needs_no_torch(folder, tmp_path):
    code = (
        "import sys; from pathlib import Path; from lpclip.cli.audit import *;"
        "write_list(disagreements(probes=Path(sys.argv[1]), features=Path(sys.argv[2])),"
        "Path(sys.argv[3]), n=5); sys.exit('torch' in sys.modules)"
    )
    paths = (folder / "probes.h5", folder / "clean.h5", tmp_path / "a.csv")
    command = [sys.executable, "-c", code, *map(str, paths)]
    assert subprocess.run(command, check=False).returncode == 0
