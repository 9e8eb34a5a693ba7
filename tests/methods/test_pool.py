"""Tests of lpclip.methods.pool: the stage that describes the unlabelled set."""

import inspect
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lpclip.columns.pool import POOL, POOL_CLASSES
from lpclip.methods.labelling.pool_description import describe_pool
from lpclip.methods.pool import describe, in_words
from lpclip.reporting.pool import in_words as words_of_table
from lpclip.reporting.pool import write_pool_tables
from lpclip.storage.features import write_features
from lpclip.storage.reports import read_cells, typed_cells
from lpclip.storage.samples import fingerprint
from lpclip.storage.text import write_text
from tests.helpers.gaussian_pools import Gaussians

MODEL = {"model": "m", "weights": "w"}


def write_cache(path, values, *, first=0, dataset="adapt"):
    ids = [f"s{first + i}" for i in range(len(values))]
    samples = pd.DataFrame({"id": ids, "path": ["x"] * len(ids)})
    write_features(
        path,
        samples=samples,
        versions={"clean": 0},
        parts=[values[None].astype(np.float16)],
        provenance={**MODEL, "dataset": dataset, "index": fingerprint(samples)},
    )


@pytest.fixture
def described(tmp_path):
    world = Gaussians(n_classes=6)
    views, _ = world.pool(np.array([20, 20, 20, 20, 0, 0]))
    write_text(
        tmp_path / "text.h5",
        features=world.head.weight,
        class_names=world.head.class_names,
        provenance={**MODEL, "scale": 100.0, "bias": 0.0},
    )
    write_cache(tmp_path / "adapt.h5", views[0])

    def run(test, *, benchmark="animals", first=500):
        write_cache(tmp_path / "test.h5", test(views[0], world), first=first, dataset="test")
        describe(
            text=tmp_path / "text.h5",
            features=tmp_path / "adapt.h5",
            clean=tmp_path / "adapt.h5",
            test=tmp_path / "test.h5",
            output=tmp_path / f"{benchmark}.csv",
            classes=tmp_path / f"{benchmark}_classes.csv",
            benchmark=benchmark,
            view="clean",
        )
        tables = ((POOL, f"{benchmark}.csv"), (POOL_CLASSES, f"{benchmark}_classes.csv"))
        return [typed_cells(read_cells(tmp_path / end), tmp_path / end, t) for t, end in tables]

    return run


def others(_, world):
    return world.pool(np.full(6, 10))[0][0]


def test_the_tables_hold_what_was_described(described):
    pool, classes = described(others)
    row = pool.iloc[0]
    assert (row["model"], row["benchmark"], row["dataset"]) == ("m", "animals", "adapt")
    assert (row["n_images"], row["n_classes"], row["is_test_set"]) == (80, 6, "no")
    assert row["in_test_set"] == 0
    assert row["ood_share_low"] <= row["ood_share"] <= row["ood_share_high"]
    assert list(classes["class_name"]) == [f"class {c}" for c in range(6)]
    assert classes["presence"][:4].min() > classes["presence"][4:].max()
    assert (classes["expected_images_low"] <= classes["expected_images"]).all()
    assert (classes["expected_images"] <= classes["expected_images_high"]).all()


@pytest.mark.parametrize(
    ("test", "first", "is_test", "share"),
    [
        (lambda v, _: v, 0, "yes", 1),  # the same index
        (lambda v, _: v[::-1], 500, "yes", 1),  # the same images under other ids
        (lambda v, _: v[:40], 500, "no", 0.5),
        (lambda v, world: np.concatenate([v, others(v, world)]), 500, "no", 1),
    ],
    ids=["same index", "same images", "half of them", "all of them and more"],
)
def test_whether_the_pool_is_the_test_set(described, test, first, is_test, share):
    row = described(test, first=first)[0].iloc[0]
    assert row["is_test_set"] == is_test
    assert row["in_test_set"] == share
    assert ("evaluated itself" in row["words"]) == (is_test == "yes")


def test_no_file_with_labels_can_be_given():
    assert "samples" not in inspect.signature(describe).parameters


def test_words():
    world = Gaussians(n_classes=10)
    found = replace(
        describe_pool(world.pool(np.full(10, 9))[0], world.head),
        expected_images=np.full(10, 9.0),
        ood_share=0.3,
        ood_low=0.2,
        ood_high=0.4,
        balance=0.2,
    )
    assert in_words(found, 8, is_test_set=False) == (
        "90 images, 8 of 10 classes supported, about 11 of each, 30% out-of-distribution (20% to "
        "40%), somewhat unbalanced (20% of the images away from equal frequencies of all classes)."
    )
    clean = replace(found, ood_share=0.01, ood_low=0.0, balance=0.0)
    assert in_words(clean, 10, is_test_set=False).startswith(
        "90 images, all 10 classes supported, about 9 of each, none out-of-distribution that "
        "shows (0% to 40%), balanced"
    )
    one = world.pool(np.array([90] + [0] * 9))[0]
    head = world.head.weight[:1].repeat(10, axis=0)
    same = describe_pool(one, type(world.head)(head, 0.0, 100.0, world.head.class_names, {}))
    assert in_words(same, 10, is_test_set=True) == (
        "90 images, the set that is evaluated itself. Zero-shot distinguishes no classes on it: "
        "the texts of all classes have the same features, so nothing else can be estimated."
    )


def test_the_report_gathers_pools_in_its_order(described, tmp_path):
    for name in ("birds", "animals"):
        described(others, benchmark=name)
    order = [("m", "birds"), ("m", "animals")]
    parts = [tmp_path / f"{name}.csv" for name in ("animals", "birds")]
    classes = [tmp_path / f"{name}_classes.csv" for name in ("animals", "birds")]
    write_pool_tables(parts, classes, tmp_path, order=order)
    assert list(read_cells(tmp_path / "pool.csv")["benchmark"]) == ["birds", "animals"]
    assert len(read_cells(tmp_path / "pool_classes.csv")) == 12
    first, second = words_of_table(tmp_path / "pool.csv")
    assert first.startswith("Unlabelled set of birds: 80 images")
    assert second.startswith("Unlabelled set of animals: 80 images")


def test_without_a_pool_there_are_only_headers(tmp_path):
    write_pool_tables([], [], tmp_path, order=[])
    assert (tmp_path / "pool.csv").read_text() == ",".join(POOL.names) + "\n"
    assert words_of_table(tmp_path / "pool.csv") == []
