"""Whatever fits in memory, results are the same: every labelling, every kind of method."""

import h5py
import numpy as np
import pytest

from lpclip.methods.kinds.self_training import Settings
from lpclip.methods.labelling.pool_description import describe_pool
from lpclip.methods.labelling.pseudo_labels import label_by_zero_shot, pseudo_labels
from lpclip.methods.labelling.settings import Labelling
from lpclip.methods.train import train_probe
from lpclip.methods.training import ensembles
from lpclip.methods.training.guarded import train_guarded
from lpclip.methods.training.pool import Pool
from lpclip.methods.training.self_training import self_train
from lpclip.methods.training.settings import Optimisation
from lpclip.storage.features import read_features
from lpclip.storage.probes import read_probes
from lpclip.storage.pseudo_labels import read_pseudo_labels
from lpclip.storage.stored_views import StoredViews, all_versions, open_views
from lpclip.storage.text import read_head
from lpclip.utils.memory import Scratch
from tests.helpers.little_memory import MODEL, make_files, with_little_memory

PLAIN = {"temperature": 1, "structure": 0.0, "threshold": 0.5, "class_floor": 0.0}
LABELLINGS = {
    "auto": Labelling(),
    "soft": Labelling(labels="soft"),
    "whole": Labelling(classes="all", images="all"),
    "confident": Labelling(**PLAIN, prior="none", classes="all", images="all"),
    "aligned": Labelling(**PLAIN, prior="align"),
    "sinkhorn": Labelling(prior="sinkhorn"),
}
ADAPTERS = ("gaussian", "inmap", "lame", "otter", "stata", "tda", "transclip", "zlap")
QUICK = Optimisation(epochs=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("memory")
    make_files(made)
    return made


@pytest.fixture
def little(monkeypatch):
    yield from with_little_memory(monkeypatch)


def teacher(folder):
    head, _ = read_head(folder / "text.h5")
    path = folder / "adapt.h5"
    return head, open_views(path, all_versions(path, "weak"), expected=head.expected)


def assert_same_probes(found, expected):
    for name in ("weight", "bias"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol=2e-3, atol=2e-5
        )
    for name in ("pseudo_labels", "selected"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


@pytest.mark.parametrize("name", LABELLINGS)
def test_labels_do_not_depend_on_the_memory(folder, tmp_path, little, name):
    made = {}
    for memory_is in ("large", "little"):
        if memory_is == "little":
            little()
        path = tmp_path / f"{memory_is}.h5"
        pseudo_labels(
            text=folder / "text.h5",
            features=folder / "adapt.h5",
            output=path,
            labelling=LABELLINGS[name],
        )
        made[memory_is] = read_pseudo_labels(path, expected={})
    found, expected = made["little"], made["large"]
    assert isinstance(found.probabilities, Scratch)
    assert isinstance(expected.probabilities, np.ndarray)
    np.testing.assert_allclose(found.probabilities[:], expected.probabilities, atol=2e-5)
    np.testing.assert_array_equal(found.class_index, expected.class_index)
    np.testing.assert_array_equal(found.selected, expected.selected)
    assert expected.selected.any()


def test_views_are_held_or_stay_on_the_disk(folder, little):
    _, held = teacher(folder)
    assert isinstance(held, np.ndarray)
    little()
    _, stored = teacher(folder)
    assert isinstance(stored, StoredViews)
    rows = np.array([7, 3, 200, 3])
    np.testing.assert_array_equal(stored.take(rows), held[:, rows])
    np.testing.assert_array_equal(stored.of(rows[:2])[1][:], held[1, rows[:2]])


def test_the_description_of_a_pool_does_not_depend_on_the_memory(folder, little):
    expected = describe_pool(teacher(folder)[1], teacher(folder)[0])
    assert expected.separable
    little()
    head, views = teacher(folder)
    found = describe_pool(views, head)
    for name, value in vars(expected).items():
        if isinstance(value, str):
            assert getattr(found, name) == value
        else:
            np.testing.assert_allclose(getattr(found, name), value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("labelling", ["auto", "soft", "confident"])
def test_self_training_does_not_depend_on_the_memory(folder, little, labelling):
    settings = Settings(labelling=LABELLINGS[labelling], rounds=2, optimisation=QUICK)
    student = read_features(folder / "adapt.h5", "strong", expected=MODEL)
    trained = []
    for large in (True, False):
        if not large:
            little()
        head, views = teacher(folder)
        trained.append(self_train(head, Pool(views, student), settings, [0, 1]))
    assert_same_probes(trained[1], trained[0])


def test_first_labels_that_are_read_are_learned_from_the_disk(folder, little):
    settings = Settings(labelling=LABELLINGS["soft"], rounds=1, optimisation=QUICK)
    student = read_features(folder / "adapt.h5", "strong", expected=MODEL)
    trained = []
    for large in (True, False):
        if not large:
            little()
        head, views = teacher(folder)
        labels = label_by_zero_shot(head, views, settings.labelling)
        assert isinstance(labels.probabilities, np.ndarray) == large
        trained.append(self_train(head, Pool(views, student), settings, [0], labels=labels))
    assert_same_probes(trained[1], trained[0])


def test_the_guard_does_not_depend_on_the_memory(folder, little):
    candidates = {"auto": Settings(rounds=1, optimisation=QUICK)}
    student = read_features(folder / "adapt.h5", "strong", expected=MODEL)
    shipped = []
    for large in (True, False):
        if not large:
            little()
        head, views = teacher(folder)
        pool = Pool(views, student)
        shipped.append(
            train_guarded(
                head,
                lambda _, pool=pool: pool,
                candidates,
                [0],
                adapters=("stata", "transclip", "otter", "gaussian"),
            )
        )
    expected, found = shipped
    assert_same_probes(found, expected)
    assert found.guard["decision"].tolist() == expected.guard["decision"].tolist()
    np.testing.assert_allclose(
        found.guard["estimated_gain"], expected.guard["estimated_gain"], atol=1e-4
    )


@pytest.mark.parametrize("kind", ADAPTERS)
def test_an_adapter_does_not_depend_on_the_memory(folder, tmp_path, little, kind):
    made = {}
    for large in (True, False):
        if not large:
            little()
        path = tmp_path / f"{large}.h5"
        train_probe(
            text=folder / "text.h5",
            adapt=folder / "adapt.h5",
            output=path,
            benchmark="b",
            method=kind,
            kind=kind,
            seeds=[0],
            settings={"steps": 20} if kind == "inmap" else {},
        )
        made[large], _ = read_probes(path, pool_alone=True)
        with h5py.File(path) as file:
            assert "weight" in file
    assert_same_probes(made[False], made[True])
    expected, found = made[True].pool_probabilities, made[False].pool_probabilities
    assert (found is None) == (expected is None)
    if expected is not None:
        assert isinstance(found, tuple)
        np.testing.assert_allclose(found[0][:], expected[0], atol=2e-3)


def trained_on_labels(folder, output, kind, seeds, settings):
    train_probe(
        text=folder / "text.h5",
        clean=folder / "clean.h5",
        samples=folder / "samples.h5",
        output=output / "probes.h5",
        benchmark="b",
        method=kind,
        kind=kind,
        seeds=seeds,
        settings=settings,
    )
    return read_probes(output / "probes.h5")[0]


@pytest.mark.parametrize("large", [False, True])
def test_a_regression_on_labels_does_not_depend_on_the_memory(
    folder, tmp_path, little, monkeypatch, large
):
    made = []
    for in_memory in (True, False):
        if not in_memory:
            little()
            # Of a large set, the other solver.
            monkeypatch.setattr("lpclip.methods.kinds.supervised.LARGE", 0 if large else 10**9)
        settings = {"log10_c_low": -4.0, "log10_c_high": -2.0, "c_steps": 3}
        made.append(trained_on_labels(folder, tmp_path, "supervised", [0], settings))
    np.testing.assert_allclose(made[1].weight, made[0].weight, atol=2e-3 if large else 0)
    np.testing.assert_array_equal(made[1].labels_seen, made[0].labels_seen)
    assert not np.allclose(made[0].weight[1], made[0].weight[0], atol=0.1)


@pytest.mark.parametrize("kind", ["deep_ensemble", "mc_dropout", "batch_ensemble"])
def test_an_ensemble_learns_a_large_set_in_groups_and_does_not_depend_on_the_memory(
    folder, tmp_path, little, monkeypatch, kind
):
    def trained():
        settings = {"members": 2, "optimisation": {"epochs": 3}}
        return trained_on_labels(folder, tmp_path, kind, [0, 1], settings)

    whole = trained()
    monkeypatch.setattr("lpclip.methods.training.streaming.BLOCK_ROWS", 64)
    monkeypatch.setattr(ensembles, "TOGETHER", 128 * whole.weight.shape[-1])
    held = trained()
    little()
    read = trained()
    np.testing.assert_array_equal(read.weight, held.weight)
    # Another order of the same samples: learned as well as otherwise, but not the same.
    assert not np.array_equal(held.weight, whole.weight)
    np.testing.assert_allclose(held.weight, whole.weight, atol=0.2 * np.abs(whole.weight).max())
