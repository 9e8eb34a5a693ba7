"""The table for embedding-atlas: what its command line reads, and lpclip's columns."""

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest

from lpclip.cli.command import main
from lpclip.cli.export_atlas import export_atlas
from lpclip.errors import LpclipError
from lpclip.storage.features import read_features
from lpclip.storage.layout import read_layout
from lpclip.storage.probe import load_probe
from tests.helpers.explored import MODEL, NAMES, SETS, write_explored


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("atlas")
    write_explored(folder)
    return folder


def exported(folder, output, **settings):
    paths = {"features": [folder / f"{name}.h5" for name in SETS], **settings}
    export_atlas(probes=folder / "learned.h5", layout=folder / "layout.h5", output=output, **paths)
    return pd.read_parquet(output / "atlas.parquet")


def test_rows_have_vectors_places_neighbours_and_predictions(folder, tmp_path):
    table = exported(folder, tmp_path, samples=[folder / "test_samples.h5"])
    layout, _ = read_layout(folder / "layout.h5")
    assert len(table) == sum(SETS.values())
    np.testing.assert_array_equal(table["x"], layout.points["x"])
    vectors = np.stack(table["vector"])
    of_test = (table["dataset"] == "test").to_numpy()
    rows = layout.points["row"].to_numpy()[of_test]
    expected = read_features(folder / "test.h5", "clean", expected=MODEL)[rows]
    np.testing.assert_array_equal(vectors[of_test], expected)
    # As embedding-atlas makes them: parallel lists of equal length, of rows, the row itself first.
    ids = np.stack([one["ids"] for one in table["neighbors"]])
    far = np.stack([one["distances"] for one in table["neighbors"]])
    np.testing.assert_array_equal(ids[:, 0], np.arange(len(table)))
    np.testing.assert_array_equal(ids[:, 1:], layout.neighbours)
    np.testing.assert_allclose(
        far, np.linalg.norm(vectors[ids] - vectors[:, None], axis=2), atol=2e-3
    )
    logits = load_probe(folder / "learned.h5", seed=5).logits(vectors)
    assert table["prediction"].tolist() == [NAMES[one] for one in logits.argmax(axis=1)]
    np.testing.assert_allclose(table["max_logit"], logits.max(axis=1), rtol=1e-5)
    assert table["label"].notna().tolist() == of_test.tolist()
    fixed = table["change"] == "fixed"
    assert fixed.any()
    assert (table["prediction"] == table["label"])[fixed].all()
    assert (table["zero_shot"] != table["label"])[fixed].all()


def test_the_vectors_have_one_length_in_the_schema(folder, tmp_path):
    exported(folder, tmp_path)
    schema = pyarrow.parquet.read_schema(tmp_path / "atlas.parquet")
    assert schema.field("vector").type.list_size == 16
    assert schema.field("neighbors").type.names == ["ids", "distances"]


def test_without_samples_no_label_is_written(folder, tmp_path):
    table = exported(folder, tmp_path)
    assert table["label"].isna().all()
    assert set(table["change"]) == {"changed", "unchanged"}


def test_caches_that_are_missing_are_named(folder, tmp_path):
    with pytest.raises(LpclipError, match=r"no record of its caches\. Name .* with --features"):
        exported(folder, tmp_path, features=[])
    with pytest.raises(LpclipError, match="No features of the dataset 'far'"):
        exported(folder, tmp_path, features=[folder / "pool.h5", folder / "test.h5"])


def test_caches_are_found_by_the_record_of_the_layout(folder, tmp_path):
    sets = [str(folder / f"{name}.h5") for name in SETS]
    command = ["layout", "--text", str(folder / "text.h5"), "--adapt", sets[0], "--test", sets[1]]
    main([*command, "--ood", sets[2], "--settings", '{"benchmark": "animals"}',
          "--output", str(tmp_path / "layout.h5")])  # fmt: skip
    export = ["export", "--probe", str(folder / "learned.h5"), "--to", "atlas"]
    main([*export, "--layout", str(tmp_path / "layout.h5"), "--output", str(tmp_path / "out")])
    found = pd.read_parquet(tmp_path / "out/atlas.parquet")
    pd.testing.assert_frame_equal(found, exported(folder, tmp_path / "named"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to", "atlas"], "--to atlas needs --layout"),
        (["--to", "torch", "--layout", "l.h5"], "--layout goes with --to atlas"),
        (["--to", "atlas", "--layout", "l.h5", "--member", "1"], "--member does not go with"),
    ],
)
def test_options_that_do_not_go_together_are_refused(folder, tmp_path, capsys, options, message):
    command = ["export", "--probe", str(folder / "learned.h5"), "--output", str(tmp_path / "x")]
    with pytest.raises(SystemExit):
        main([*command, *options])
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
