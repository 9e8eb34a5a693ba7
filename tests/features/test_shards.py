"""Shards of a dataset, embedded by the command and joined, are the file of one job."""

import json
from itertools import pairwise

import pandas as pd
import pytest

from lpclip.cli.command import main
from lpclip.data.index import index_samples
from lpclip.features import embed, images
from lpclip.storage.features import views as names_of_views
from lpclip.storage.hdf5 import open_file, read_provenance
from lpclip.storage.made_from import read_record

N = 20
SETTINGS = {
    "dataset": "d",
    "source": {"kind": "glyphs", "characters": "digits", "n": N},
    "model": {"name": "tiny", "architecture": "lpclip-tiny", "pretrained": "embedded"},
    "views": {
        "weak": {"versions": 2},
        "strong": {"versions": 1, "policy": "disjoint"},
        "contrast": {"severities": [1, 5]},
        "clean": {},
    },
    "batch_size": 3,
}


@pytest.fixture(scope="module", autouse=True)
def small_chunks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "CHUNK_ROWS", 8)
        patch.setattr(embed, "CHUNK_ROWS", 8)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write the index, and the cache that one job makes."""
    folder = tmp_path_factory.mktemp("project")
    index_samples(output=folder / "samples.h5", dataset="d", source=SETTINGS["source"])
    run(folder, folder / "one/f.h5")
    return folder


def run(folder, output, *options, **settings):
    main(
        [
            "embed-images", "--samples", str(folder / "samples.h5"), "--output", str(output),
            "--settings", json.dumps(SETTINGS | settings), "--device", "cpu",
            *map(str, options),
        ]
    )  # fmt: skip
    return output


def embed_shards(folder, name, cuts):
    return [
        run(folder, folder / f"{name}/f.shards/{start}.h5", "--rows", start, stop)
        for start, stop in pairwise(cuts)
    ]


@pytest.mark.parametrize("cuts", [[0, 8, 16, N], [0, 16, N], [0, 8, N]], ids=str)
def test_joined_shards_are_the_bytes_of_one_job(folder, cuts):
    name = "-".join(map(str, cuts))
    shards = embed_shards(folder, name, cuts)
    timings = folder / name / "timings.tsv"
    found = run(folder, folder / name / "f.h5", "--shards", *shards, "--timings", timings)
    assert found.read_bytes() == (folder / "one/f.h5").read_bytes()
    assert pd.read_csv(timings, sep="\t")["images"].tolist() == [N]


def test_a_shard_is_an_ordinary_cache_of_its_rows(folder):
    (shard,) = embed_shards(folder, "alone", [8, 16])
    with open_file(shard, kind="features") as file, open_file(folder / "one/f.h5") as whole:
        for view in names_of_views(whole):
            rows = whole[f"features/{view}"][..., 8:16, :]
            assert (file[f"features/{view}"][...] == rows).all()
        assert (file["samples"][...] == whole["samples"][8:16]).all()
    found, expected = read_provenance(shard), read_provenance(folder / "one/f.h5")
    assert found == {**expected, "rows_start": 8, "rows_stop": 16}
    assert read_record(shard)["settings"] == read_record(folder / "one/f.h5")["settings"]


def test_the_record_of_a_joined_cache_does_not_name_its_shards(folder):
    shards = embed_shards(folder, "record", [0, 16, N])
    found = read_record(run(folder, folder / "record/f.h5", "--shards", *shards))
    assert found == read_record(folder / "one/f.h5")
    assert list(found["inputs"]) == ["../samples.h5"]


def test_shards_that_were_made_with_other_settings_are_refused(folder, capsys):
    shards = embed_shards(folder, "settings", [0, 16, N])
    with pytest.raises(SystemExit):
        run(folder, folder / "settings/f.h5", "--shards", *shards, batch_size=4)
    assert "was made with other settings: batch_size: 3, not 4" in capsys.readouterr().err


@pytest.mark.parametrize("rows", [(0, 7), (4, 16), (8, 8), (16, 8), (0, 24)])
def test_rows_that_are_no_whole_chunks_are_refused(folder, capsys, rows):
    with pytest.raises(SystemExit):
        run(folder, folder / "refused/f.h5", "--rows", *rows)
    assert "a shard of 20 images is whole chunks of 8" in capsys.readouterr().err
    assert not (folder / "refused").exists()
