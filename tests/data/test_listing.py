"""A compact listing holds what a list of samples holds, and a large index is written in blocks."""

import os

import pandas as pd
import pytest

from lpclip.data import index
from lpclip.data.base import Sample
from lpclip.data.index import index_samples
from lpclip.data.listing import Listing
from lpclip.data.repeated import refuse_repeated
from lpclip.errors import LpclipError
from lpclip.storage.hdf5 import create, open_file
from lpclip.storage.samples import fingerprint, read_samples
from lpclip.storage.tables import Blocks, read_table, write_table

SAMPLES = [
    Sample("", "", -1),
    Sample("é/ü.png", "root/é", 0),
    Sample(os.fsdecode(b"odd\xff.png"), "x\0y\ud800", 5),
    Sample("日本", "a" * 5000, 2**40),
]


def test_a_listing_is_the_list():
    listing = Listing(SAMPLES)
    assert list(listing) == SAMPLES
    assert listing == SAMPLES
    assert len(listing) == 4
    assert [listing[row] for row in (0, 3, -1, -4)] == [SAMPLES[row] for row in (0, 3, -1, -4)]
    assert listing[1:3] == SAMPLES[1:3]
    assert listing[::-1] == SAMPLES[::-1]
    with pytest.raises(IndexError):
        listing[4]
    assert listing != SAMPLES[:3]
    assert not Listing([])


def test_a_listing_with_a_prefix_has_paths_of_it_and_the_id():
    listing = Listing([Sample("a/b.png", "ignored", 1)], prefix="root/")
    assert list(listing) == [Sample("a/b.png", "root/a/b.png", 1)]


def test_the_first_repeated_id_is_found_although_hashes_are_equal(monkeypatch):
    samples = [Sample(name, f"{row}.png", 0) for row, name in enumerate("abcdbca")]
    expected = r"the id 'b': 1\.png and 4\.png \(numbers 2 and 5\)"
    with pytest.raises(LpclipError, match=expected):
        refuse_repeated(Listing(samples), where="It")
    monkeypatch.setattr("builtins.hash", lambda _: 7)
    with pytest.raises(LpclipError, match=expected):
        refuse_repeated(Listing(samples), where="It")
    refuse_repeated(Listing(samples[:4]), where="It")


def test_a_table_written_in_blocks_is_read_as_one(tmp_path):
    frame = pd.DataFrame({"id": [f"{row}" * row for row in range(1, 30)], "n": range(29)})
    blocks = Blocks(29, lambda: (frame[start : start + 4] for start in range(0, 29, 4)))
    with create(tmp_path / "t.h5", kind="samples", provenance={}) as file:
        write_table(file, "whole", frame)
        write_table(file, "blocks", blocks)
        write_table(file, "plain", blocks, listed=False)
    with open_file(tmp_path / "t.h5") as file:
        for name in ("whole", "blocks", "plain"):
            pd.testing.assert_frame_equal(read_table(file, name), frame)
        assert (file["whole/table"][...] == file["blocks/table"][...]).all()
    found = pd.read_hdf(tmp_path / "t.h5", "blocks", where="n > 25")
    assert found.index.tolist() == [26, 27, 28]


def test_the_size_of_blocks_does_not_change_an_index(tmp_path, monkeypatch):
    source = {"kind": "glyphs", "characters": "digits", "n": 50}
    index_samples(output=tmp_path / "one.h5", dataset="d", source=source)
    monkeypatch.setattr(index, "_BLOCK_ROWS", 7)
    index_samples(output=tmp_path / "many.h5", dataset="d", source=source)
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "many.h5").read_bytes()
    samples = read_samples(tmp_path / "many.h5", labels=True)
    assert len(samples) == 50
    assert fingerprint(samples) == fingerprint([samples[:20], samples[20:]])
