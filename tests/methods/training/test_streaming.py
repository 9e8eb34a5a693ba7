"""Streamed views: training equals training in memory in the same order, in little memory."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from lpclip.errors import LpclipError
from lpclip.methods.training import streaming
from lpclip.methods.training.settings import Optimisation
from lpclip.methods.training.streaming import InMemory, stream_cache
from lpclip.methods.training.student import train_student
from lpclip.storage.features import read_features, write_features
from tests.helpers.streamed import stream_array
from tests.methods.training.test_student import C, D

V, N = 3, 45
MODEL = {"model": "tiny", "weights": "3f9a"}
VERSIONS = [("weak", 0), ("strong", 1), ("strong", 0)]
GROUP_ROWS = 20  # two blocks
OPTIMISATION = Optimisation(epochs=3, batch_size=16, learning_rate=0.01)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(streaming, "BLOCK_ROWS", 10)


def write(path, n=N, dim=D, versions=3):
    values = np.random.default_rng(0).normal(size=(versions, n, dim)).astype(np.float16)
    names = [f"{row}" for row in range(n)]
    write_features(
        path,
        samples=pd.DataFrame({"id": names, "path": names}),
        versions={"strong": versions - 1, "weak": 0},
        parts=[values],
        provenance=MODEL,
    )


@pytest.fixture
def stored(tmp_path):
    """Return the same views, from disk and in memory."""
    path = tmp_path / "adapt.h5"
    write(path)
    views = {name: read_features(path, name, expected={}) for name in ("weak", "strong")}
    views["weak"] = views["weak"][None]
    array = np.stack([views[view][version] for view, version in VERSIONS])
    streamed = stream_cache(path, VERSIONS, expected=MODEL, memory_gb=4 * D * GROUP_ROWS / 1e9)
    return streamed, array


def train(views, seeds=(0, 1), optimisation=OPTIMISATION):
    draw = torch.Generator().manual_seed(0)
    n = views.shape[1]
    targets = torch.randint(C, (2, n), generator=draw)[list(seeds)]
    selected = (torch.rand(2, n, generator=draw) < 0.8)[list(seeds)]
    head = torch.nn.functional.normalize(torch.randn(C, D, generator=draw), dim=-1)
    return train_student(
        views,
        targets,
        selected,
        start=(head.expand(len(seeds), C, D), torch.zeros(len(seeds), C)),
        anchor_weight=head,
        scale=10.0,
        optimisation=optimisation,
        generators=[torch.Generator().manual_seed(seed) for seed in seeds],
    )


def assert_same(one, other):
    for name in ("weight", "bias", "loss", "epochs"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name


@pytest.mark.parametrize(
    "optimisation", [OPTIMISATION, replace(OPTIMISATION, epochs=8, patience=2, held_out=0.3)]
)
def test_training_on_a_cache_equals_training_in_memory_in_the_same_order(stored, optimisation):
    streamed, array = stored
    assert streamed.group_rows == GROUP_ROWS
    in_memory = train(stream_array(array, group_rows=GROUP_ROWS), optimisation=optimisation)
    assert_same(train(streamed, optimisation=optimisation), in_memory)
    other_order = train(stream_array(array, group_rows=30), optimisation=optimisation)
    assert not torch.equal(other_order.weight, in_memory.weight)
    torch.testing.assert_close(other_order.weight, in_memory.weight, atol=0.1, rtol=0)


def test_a_seed_streams_what_it_would_alone(stored):
    streamed, _ = stored
    together = train(streamed)
    for seed in (0, 1):
        alone = train(streamed, seeds=(seed,))
        assert torch.equal(alone.weight[0], together.weight[seed])


def test_every_pass_has_every_row_once_in_groups_that_fit_in_an_order_of_its_own(stored):
    streamed, array = stored
    orders = []
    for number in range(2):
        samples, rows = [], []
        for of_group, features in streamed.groups(number):
            assert len(of_group) == len(features) <= GROUP_ROWS
            samples.append(of_group.clone())
            rows.append(features.clone())
        orders.append(torch.cat(samples))
        found = np.concatenate(rows)
        expected = array.reshape(-1, D)
        np.testing.assert_array_equal(*(rows[np.lexsort(rows.T)] for rows in (found, expected)))
        assert (torch.bincount(orders[-1]) == V).all()
        at = (array == found[7]).all(-1).nonzero()[1]
        assert orders[-1][7] == at
    assert not torch.equal(*orders)


def test_some_of_the_samples_are_streamed_as_if_there_were_no_others(stored):
    streamed, array = stored
    chosen = np.random.default_rng(1).random(N) < 0.5
    in_memory = stream_array(array[:, chosen], group_rows=GROUP_ROWS)
    assert streamed.of(chosen).shape == in_memory.shape
    assert_same(train(streamed.of(chosen)), train(in_memory))


def test_rows_in_order_are_those_of_views_in_memory(stored):
    streamed, array = stored
    in_memory = InMemory(torch.from_numpy(array))
    for place in (0, 1):
        found, expected = (
            torch.cat([pair[place] for pair in views.in_order()]) for views in (streamed, in_memory)
        )
        assert torch.equal(found, expected)


def test_a_cache_of_another_model_is_not_streamed(tmp_path):
    write(tmp_path / "adapt.h5")
    streamed = stream_cache(
        tmp_path / "adapt.h5", VERSIONS, expected={"model": "other"}, memory_gb=1
    )
    with pytest.raises(LpclipError, match="made with model 'tiny', not 'other'"):
        next(streamed.groups(0))


PEAK = """
import sys
from pathlib import Path
import torch
from lpclip.storage.features import read_features
from lpclip.methods.training.streaming import stream_cache
from lpclip.methods.training.settings import Optimisation
from lpclip.methods.training.student import train_student

def peak():  # megabytes; getrusage also counts the process before exec
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1e3

def train(views, n, dim):
    train_student(
        views, torch.zeros(1, n, dtype=torch.long), torch.ones(1, n),
        start=(torch.zeros(1, 2, dim), torch.zeros(1, 2)), anchor_weight=torch.zeros(2, dim),
        scale=1.0, optimisation=Optimisation(epochs=1, batch_size=4096),
        generators=[torch.Generator()],
    )

path = Path(sys.argv[1])
train(torch.zeros(1, 4096, 256), 4096, 256)
before = peak()
if sys.argv[2] == "streamed":
    versions = [("strong", version) for version in range(3)]
    views = stream_cache(path, versions, expected={}, memory_gb=0.008)
else:
    views = torch.from_numpy(read_features(path, "strong", expected={}))
train(views, 30_000, 256)
print(peak() - before)
"""


def test_memory_stays_within_the_budget_whatever_the_size_of_the_cache(tmp_path):
    path = tmp_path / "adapt.h5"
    write(path, 30_000, 256, versions=4)  # the strong views are 92 MB in single precision
    grown = {
        way: float(
            subprocess.run(
                [sys.executable, "-c", PEAK, path, way], check=True, capture_output=True, text=True
            ).stdout
        )
        for way in ("streamed", "in memory")
    }
    assert grown["in memory"] > 80
    # The budget, a batch and one read block.
    assert grown["streamed"] < 40
