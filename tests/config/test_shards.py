"""Datasets are divided by their size, and small ones are not."""

from pathlib import Path

import pytest

from lpclip.config.check import complete
from lpclip.config.shards import may_have_shards, shards_before, shards_of

CACHE = "cache/tiny/images/photos/clean.h5"


def config(rows="auto", n=1000, **dataset):
    source = {"kind": "photo_patches", "n": n}
    return complete(
        {
            "models": {"tiny": {"architecture": "lpclip-tiny", "pretrained": "embedded"}},
            "datasets": {"photos": {"source": source, "rows_per_shard": rows, **dataset}},
            "benchmarks": {
                "b": {"class_names": ["a", "b"], "templates": ["{}"], "adapt": "photos"}
            },
        }
    )


def division(n, rows="auto"):
    """Return the lengths of the shards of n images."""
    paths = shards_of(config(rows), "photos", CACHE, n)
    ranges = [tuple(map(int, Path(path).stem.split("-"))) for path in paths]
    assert [start for start, _ in ranges[1:]] == [stop for _, stop in ranges[:-1]]
    assert not ranges or (ranges[0][0], ranges[-1][1]) == (0, n)
    return [stop - start for start, stop in ranges]


@pytest.mark.parametrize(
    ("n", "count", "length"),
    [(20_480, 0, 0), (20_481, 2, 20_480), (100_000, 5, 20_480), (1_281_167, 63, 20_480),
     (10_000_000, 64, 156_416)],
)  # fmt: skip
def test_auto_is_one_job_up_to_80_chunks_and_at_most_64_shards(n, count, length):
    found = division(n)
    assert (len(found), found[0] if found else 0) == (count, length)
    assert len(set(found[:-1])) <= 1
    assert all(rows % 256 == 0 for rows in found[:-1])


@pytest.mark.parametrize(
    ("rows", "lengths"),
    [(256, [256, 256, 256, 132]), (257, [512, 388]), (1, [256, 256, 256, 132]), (900, [])],
)
def test_a_given_number_is_rounded_up_to_whole_chunks(rows, lengths):
    assert division(900, rows) == lengths


@pytest.mark.parametrize(
    ("rows", "n", "dataset", "expected"),
    [
        ("auto", 20_480, {}, False),
        ("auto", 20_481, {}, True),
        ("auto", 100_000, {"limit": 20_000}, False),
        (500, 513, {}, True),
        (500, 512, {}, False),
    ],
)
def test_what_the_settings_show_to_be_small_is_not_counted(rows, n, dataset, expected):
    assert may_have_shards(config(rows, n, **dataset), "photos") == expected


def test_names_of_shards_sort_as_their_rows_do():
    paths = shards_of(config(256), "photos", CACHE, 1_000_000)
    assert paths[0] == "cache/tiny/images/photos/clean.shards/000000000-000000256.h5"
    inputs = [*reversed(paths), "cache/data/photos/samples.h5"]
    assert shards_before(CACHE, CACHE, inputs) == paths
    prefixed = [f"clip/{path}" for path in inputs]
    assert shards_before(CACHE, f"clip/{CACHE}", prefixed) == paths
