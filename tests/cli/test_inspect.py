"""`lpclip inspect` describes every kind of file that lpclip writes; others give a short error."""

import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from lpclip.cli.inspect import describe
from lpclip.errors import LpclipError
from lpclip.storage.hdf5 import create
from lpclip.storage.made_from import hash_of, record_of, recording
from lpclip.storage.tables import write_table
from tests.storage.test_frames import folder  # noqa: F401 - a fixture


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        (
            "features",
            [
                "features (schema version 2)", "weights: 3f9a", "features/fog: float16 [3, 6",
                "for pandas.read_hdf\n  frames/clean\n  frames/fog/0\n",
            ],
        ),
        ("samples", ["dataset: d", "samples: table [6]", "first 2 rows", "ü/1.png"]),
        ("text", ["classes: table [3]", "features: float32 [3, 4]"]),
        (
            "pseudo_labels",
            ["pseudo_labels: table [6]", "\n  probabilities: float16 [6, 3]", "class_index"],
        ),
        ("probes", ["weight: float32 [2, 1, 3, 4]", f"seeds: {json.dumps([0])}", "coverage"]),
    ],
)  # fmt: skip
def test_a_description_says_kind_provenance_shapes_and_first_rows(folder, name, parts):  # noqa: F811
    shown = describe(folder / f"{name}.h5", rows=2)
    for part in parts:
        assert part in shown
    assert "3.png" not in shown


def test_what_a_file_was_made_from_is_shown(tmp_path):
    record = record_of("stage", {"seed": 3, "names": ["x"] * 99}, [], output=tmp_path / "a.h5")
    record["inputs"] = {"../text.h5": "abcd"}
    with recording(record), create(tmp_path / "a.h5", kind="odd", provenance={}):
        pass
    (tmp_path / "p.csv").write_text(PREDICTIONS.to_csv(index=False))
    shown = describe(tmp_path / "a.h5").splitlines()
    place = shown.index(f"made from (record {hash_of(record)})")
    assert shown[place + 1 : place + 5] == [
        "  stage: stage",
        f"    names: {json.dumps(['x'] * 99)}"[:99] + "…",
        "    seed: 3",
        "  ../text.h5: abcd",
    ]
    assert "made from" not in describe(tmp_path / "p.csv")


def test_a_kind_to_come_is_described_by_its_first_table(tmp_path):
    with create(tmp_path / "new.h5", kind="odd", provenance={"model": "m"}) as file:
        write_table(file, "things", pd.DataFrame({"thing": ["one", "two"]}))
    shown = describe(tmp_path / "new.h5")
    assert "odd (schema version 2)" in shown
    assert "two" in shown


PREDICTIONS = pd.DataFrame(
    {"id": ["a"], "path": ["a.png"], "prediction": ["NA"], "confidence": [0.5], "max_logit": [1.0]}
)


def test_predictions_are_described(tmp_path):
    PREDICTIONS.to_csv(tmp_path / "p.csv", index=False)
    PREDICTIONS.to_parquet(tmp_path / "p.parquet")
    for name in ("p.csv", "p.parquet"):
        shown = describe(tmp_path / name)
        assert f"{name}: predictions" in shown
        assert "prediction  text, 1 values: NA" in shown


def test_a_file_of_other_making_is_a_sentence(tmp_path):
    pd.DataFrame({"x": [1]}).to_csv(tmp_path / "x.csv", index=False)
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "x.parquet")
    save_file({"x": np.zeros(2)}, tmp_path / "x.safetensors")
    for ending in ("h5", "parquet", "safetensors"):
        (tmp_path / f"broken.{ending}").write_bytes(b"nothing")
    for name, sentence in {
        "x.csv": "is a CSV file, but not the expected report of lpclip: it lacks the columns model",
        "x.parquet": "is a Parquet file, but not one that lpclip wrote",
        "x.safetensors": "is a safetensors file, but no head that lpclip exported",
        "broken.h5": "is a text file, not an HDF5 file of lpclip",
        "broken.parquet": "is a text file, not a Parquet file",
        "broken.safetensors": "is a text file, not a safetensors file",
        "nowhere.h5": "does not exist",
        "": "is a folder",
    }.items():
        with pytest.raises(LpclipError, match=sentence):
            describe(tmp_path / name)
    (tmp_path / "x.png").touch()
    with pytest.raises(LpclipError, match=r"is an empty file\. .*\.h5, \.csv, \.parquet"):
        describe(tmp_path / "x.png")


def test_of_many_keys_for_pandas_the_first_and_last_are_shown(tmp_path):
    with create(tmp_path / "many.h5", kind="odd", provenance={}) as file:
        for number in range(9):
            write_table(file, f"t{number}", pd.DataFrame({"x": [number]}))
    shown = describe(tmp_path / "many.h5")
    assert "  t2\n  … 3 more …\n  t6\n" in shown.partition("for pandas.read_hdf")[2]
