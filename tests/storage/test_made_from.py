import json

import h5py
import pandas as pd
import pytest

from lpclip.errors import LpclipError
from lpclip.storage import made_from
from lpclip.storage.hdf5 import create, read_provenance
from lpclip.storage.made_from import (
    changed_input,
    hash_in,
    made_from_something_else,
    read_record,
    record_of,
    record_path,
    recording,
    write_record,
)
from lpclip.storage.samples import write_samples
from lpclip.storage.tables import write_table

SAMPLES = pd.DataFrame({"id": ["a"], "path": ["a.png"], "size": [7]})
SETTINGS = {"dataset": "d", "views": {"clean": {}, "weak": {"versions": 2}}, "code": "1"}


def make(path, settings, *inputs, **provenance):
    with (
        recording(record_of("stage", settings, inputs, output=path)),
        create(path, kind="text", provenance=provenance) as file,
    ):
        write_table(file, "samples", SAMPLES)
    return path


def test_an_hdf5_file_holds_its_settings_and_the_hashes_of_its_inputs(tmp_path):
    first = make(tmp_path / "cache/first.h5", {"template": "a {}."})
    second = make(tmp_path / "results/second.h5", SETTINGS, first)
    with h5py.File(second) as file:
        found = json.loads(file.attrs["made_from"])
        found_hash = file.attrs["made_from_hash"]
    assert found_hash == hash_in(second)
    assert found == {
        "stage": "stage",
        "settings": {key: SETTINGS[key] for key in ("dataset", "views")},
        "inputs": {"../cache/first.h5": hash_in(first)},
    }
    assert "made_from" not in read_provenance(second)


def test_code_and_versions_are_no_part_of_it_and_all_else_is(tmp_path):
    path = make(tmp_path / "a.h5", SETTINGS)
    assert made_from_something_else(path, {**SETTINGS, "code": "2", "versions": {}}) is None
    changed = {**SETTINGS, "views": {"clean": {}, "weak": {"versions": 4}}, "seed": 1}
    assert made_from_something_else(path, changed) == (
        "other settings: seed: unset, not 1; views.weak.versions: 2, not 4"
    )


def test_what_was_made_from_another_version_of_a_file_is_found_all_the_way_up(tmp_path):
    first = make(tmp_path / "first.h5", {"template": "a {}."})
    second = make(tmp_path / "second.h5", {}, first)
    third = make(tmp_path / "third.h5", {}, second)
    assert made_from_something_else(third, {}) is None
    make(first, {"template": "the {}."})
    assert changed_input(third) == first
    assert made_from_something_else(third, {}) == f"another version of {first}"
    make(first, {"template": "a {}."})
    assert made_from_something_else(third, {}) is None
    first.unlink()  # to save space
    assert made_from_something_else(third, {}) is None


def test_a_stage_refuses_files_that_do_not_belong_together(tmp_path):
    first = make(tmp_path / "first.h5", {"template": "a {}."})
    second = make(tmp_path / "second.h5", {}, first)
    record_of("stage", {}, [first, second], output=tmp_path / "third.h5")
    make(first, {"template": "the {}."})
    with pytest.raises(LpclipError, match=f"second.h5 was made from another version of {first}"):
        record_of("stage", {}, [first, second], output=tmp_path / "third.h5")


def test_indices_of_other_images_differ_with_the_same_settings(tmp_path):
    def write(name, index):
        path, rows = tmp_path / name / "samples.h5", pd.DataFrame({"id": ["a"], "path": ["a"]})
        with recording(record_of("index_samples", SETTINGS, [], output=path)):
            write_samples(path, rows, {"index": index})
        return path

    one, other, same = write("1", "aaaa"), write("2", "bbbb"), write("3", "aaaa")
    assert hash_in(one) == hash_in(same) != hash_in(other)


def test_a_moved_project_is_the_same_and_its_files_are_the_same_bytes(tmp_path):
    for folder in (tmp_path / "here", tmp_path / "there/deeper"):
        first = make(folder / "cache/first.h5", {})
        make(folder / "results/second.h5", {}, first)
    one, other = tmp_path / "here", tmp_path / "there/deeper"
    assert (one / "results/second.h5").read_bytes() == (other / "results/second.h5").read_bytes()
    one.rename(tmp_path / "moved")
    assert made_from_something_else(tmp_path / "moved/results/second.h5", {}) is None


def test_a_table_has_its_record_next_to_it(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("a\n1\n")
    assert read_record(table) is None
    assert made_from_something_else(table, SETTINGS) == "something that it does not name"
    record = record_of("stage", SETTINGS, [], output=table)
    write_record(table, record)
    assert record_path(table).name == "table.csv.made_from.json"
    assert read_record(table) == record
    assert made_from_something_else(table, SETTINGS) is None


def test_tables_that_were_edited_or_exchanged_are_found(tmp_path):
    table, second = tmp_path / "rounds.csv", tmp_path / "per_class.csv"
    for path in (table, second):
        path.write_text("a\n1\n")
    record = record_of("stage", SETTINGS, [], output=table)
    write_record(table, record, [table, second])
    assert made_from_something_else(table, SETTINGS) is None
    second.write_text("a\n2\n")
    assert made_from_something_else(table, SETTINGS) == (
        f"the same settings, but {second} was changed since"
    )
    second.unlink()  # Snakemake itself remakes missing files
    assert made_from_something_else(table, SETTINGS) is None


def test_a_sibling_of_another_run_of_the_job_is_found(tmp_path):
    table, sibling = tmp_path / "comparisons.csv", tmp_path / "predictions.h5"
    table.write_text("a\n1\n")
    make(sibling, SETTINGS)
    write_record(table, record_of("stage", SETTINGS, [], output=table), [table])
    assert made_from_something_else(table, SETTINGS, siblings=[sibling]) is None
    make(sibling, {**SETTINGS, "dataset": "e"})
    found = made_from_something_else(table, SETTINGS, siblings=[sibling])
    assert found == f"something else than {sibling}, which is of the same job"


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000])
def test_a_damaged_record_is_none(tmp_path, text):
    record_path(tmp_path / "table.csv").write_text(text)
    assert read_record(tmp_path / "table.csv") is None


def test_long_values_are_shortened_and_long_records_are_whole(tmp_path):
    settings = {"prompts": [[f"a picture of {n}." * 5] for n in range(5_000)]}
    path = make(tmp_path / "text.h5", settings)
    with h5py.File(path) as file:
        shown = json.loads(file.attrs["made_from"])["settings"]["prompts"]
    assert (shown["entries"], shown["first"]) == (5_000, settings["prompts"][:3])
    assert made_from_something_else(path, settings) is None
    assert made_from_something_else(path, {"prompts": [*settings["prompts"][:-1], ["x"]]})
    inputs = [make(tmp_path / f"{n:04d}/predictions.h5", {"n": n}) for n in range(1_500)]
    gathered = make(tmp_path / "predictions.h5", {}, *inputs)
    assert len(read_record(gathered)["inputs"]) == 1_500
    make(inputs[700], {"n": -1})
    assert changed_input(gathered) == inputs[700]


def test_a_function_that_is_called_by_hand_records_nothing(tmp_path):
    with create(tmp_path / "a.h5", kind="text", provenance={}):
        pass
    assert read_record(tmp_path / "a.h5") is None
    assert hash_in(tmp_path / "a.h5") == ""


def test_what_cannot_be_read_is_left_to_its_reader(tmp_path):
    path = make(tmp_path / "a.h5", SETTINGS)
    path.write_bytes(path.read_bytes()[:300])
    assert made_from_something_else(path, {}) is None


def test_an_input_of_hundreds_of_files_is_looked_at_once(tmp_path, monkeypatch):
    first = make(tmp_path / "index.h5", SETTINGS)
    shared = make(tmp_path / "features.h5", SETTINGS, first)
    tables = [tmp_path / f"{number}.csv" for number in range(300)]
    for table in tables:
        write_record(table, record_of("stage", SETTINGS, [shared], output=table))
    hashed = []
    monkeypatch.setattr(made_from, "hash_in", lambda path: hashed.append(path) or hash_in(path))
    known = made_from.Known()
    for table in tables:
        assert made_from_something_else(table, SETTINGS, known=known) is None
    assert hashed == [shared, first]
