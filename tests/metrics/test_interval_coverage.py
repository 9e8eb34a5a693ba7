"""Coverage of intervals, on a part of the grid of benchmarks/intervals.py."""

from importlib.util import module_from_spec, spec_from_file_location
from itertools import product

import numpy as np
import pytest

from lpclip.metrics.classification import classification_metrics
from tests.helpers import ROOT

SCRIPT = ROOT / "benchmarks/intervals.py"
# A method with 95 % coverage falls below this in one of 80 cells.
DRAWS, LEAST = 120, 0.90
WILSON = {"accuracy", "top5_accuracy", "mean_per_class_accuracy"}  # whose coverage has known dips


@pytest.fixture(scope="module")
def grid():
    spec = spec_from_file_location("intervals", SCRIPT)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def coverages(grid):
    heads = [
        *product(["graded"], (0.5, 0.9), (0.0, 0.05, 0.15)),
        *product(["graded"], [0.995], (0.0, 0.05)),
        *product(["even"], [0.9], (0.0, 0.05)),
    ]
    return {
        (*head, n): grid.coverage(grid.head_of(*head, population=50_000), n, DRAWS)
        for head, n in product(heads, (30, 100, 1000))
    }


def test_intervals_hold_the_truth_of_every_head_and_number_of_images(coverages):
    failed = {
        (*cell, metric): row["coverage"]
        for cell, found in coverages.items()
        for metric, row in found.items()
        if metric not in WILSON and row["coverage"] < LEAST
    }
    assert failed == {}
    for metric in next(iter(coverages.values())):
        assert np.mean([found[metric]["coverage"] for found in coverages.values()]) > 0.94


def test_no_interval_has_no_width(coverages):
    assert all(row["least_width"] > 0 for found in coverages.values() for row in found.values())


def test_intervals_are_not_so_wide_that_they_say_nothing(coverages):
    few, many = (coverages["graded", 0.9, 0.05, n] for n in (100, 1000))
    assert all(many[name]["width"] < few[name]["width"] / 2 for name in many)
    widest = {"ece": 0.05, "adaptive_ece": 0.05, "nll": 0.2, "brier": 0.08, "aurc": 0.05}
    assert all(many[name]["width"] < width for name, width in widest.items())


def test_paired_intervals_hold_the_difference_however_small_it_is(grid):
    cells = list(grid.cells_of_pairs(120))
    assert len(cells) == 27
    assert all(cell["coverage"] >= LEAST and cell["least_width"] > 0 for cell in cells)
    assert np.mean([cell["coverage"] for cell in cells]) > 0.95


@pytest.mark.parametrize("accuracy", [0.5, 0.9])
def test_the_heads_of_the_grid_are_what_they_are_called(grid, accuracy):
    for kind, over in product(("graded", "even"), (0.0, 0.05)):
        head = grid.head_of(kind, accuracy, over, population=50_000)
        assert head.truth["accuracy"] == pytest.approx(accuracy, abs=0.01)
        found = classification_metrics(head.probabilities, head.labels)
        assert [found["ece"], found["adaptive_ece"]] == pytest.approx([over] * 2, abs=0.012)
