"""Self-training on synthetic features improves a biased head and reports collapse."""

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lpclip.errors import LpclipError
from lpclip.methods.kinds import self_training
from lpclip.methods.kinds.self_training import fit
from lpclip.methods.labelling.pseudo_labels import label, pseudo_labels
from lpclip.methods.labelling.settings import Labelling
from lpclip.methods.training import self_training as training
from lpclip.methods.training.pool import half_of_each, read_pool
from lpclip.methods.training.self_training import self_train
from lpclip.methods.training.self_training_settings import Collapse
from lpclip.methods.training.streaming import Streamed
from lpclip.storage.features import write_features
from lpclip.storage.hdf5 import open_file
from lpclip.storage.stored_views import StoredViews
from lpclip.storage.tables import read_table
from lpclip.storage.text import write_text
from tests.helpers.clusters import MODEL, SCALE, SETTINGS, C, D, N, World, plain
from tests.helpers.dense import mean_prediction
from tests.helpers.streamed import stream_array


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.fixture(autouse=True)
def readable_log(caplog):
    """Capture warnings and above."""
    caplog.set_level(logging.WARNING, logger="lpclip")


def test_rounds_improve_a_tilted_head_for_every_seed(world):
    probes = world.fit()
    for seed_index in range(2):
        before, after = (
            world.accuracy(probes, 0, seed_index),
            world.accuracy(probes, -1, seed_index),
        )
        assert before < 0.9
        assert after > before + 0.05


def test_round_0_is_the_zero_shot_head(world):
    probes = world.fit()
    assert probes.weight.shape == (4, 2, C, D)
    for seed_index in range(2):
        np.testing.assert_array_equal(probes.weight[0, seed_index], world.head.weight)
    assert (probes.bias[0] == 0).all()


def test_the_table_has_a_row_per_round_and_seed_with_what_was_kept(world):
    probes = world.fit()
    first = world.write_labels(SETTINGS.labelling)
    table = probes.rounds
    assert list(zip(table["round"], table["seed"], strict=True)) == [
        (number, seed) for number in range(4) for seed in (0, 1)
    ]
    assert (table["status"] == "ok").all()
    row = table[(table["round"] == 1) & (table["seed"] == 1)].iloc[0]
    assert row["coverage"] == pytest.approx(first.selected.mean())
    assert row["confidence"] == pytest.approx(first.confidence[first.selected].mean())
    shares = np.bincount(first.class_index) / N
    assert row["balance"] == pytest.approx(-(shares * np.log(shares)).sum() / np.log(C))
    assert row["epochs"] == 8
    assert row["loss"] > 0
    assert table["coverage"].iloc[:2].isna().all()


def test_the_file_tells_which_labels_each_round_learned_from(world):
    probes = world.fit()
    first = world.write_labels(SETTINGS.labelling)
    np.testing.assert_array_equal(probes.pseudo_labels[1, 0], first.class_index)
    np.testing.assert_array_equal(probes.selected[1, 1], first.selected)
    assert (probes.pseudo_labels[0] == -1).all()
    assert not probes.selected[0].any()
    # The teacher of round 2 is the probe of round 1 on the weak views.
    logits = SCALE * world.weak @ probes.weight[1, 0].T + probes.bias[1, 0]
    second = label(mean_prediction(logits), SETTINGS.labelling)
    assert np.mean(probes.pseudo_labels[2, 0] == second.class_index) > 0.99
    agreement = probes.rounds.set_index(["round", "seed"]).loc[(1, 0), "agreement"]
    assert agreement == pytest.approx(np.mean(second.class_index == first.class_index), abs=0.01)


def test_the_same_seed_gives_the_same_bits_alone_or_with_others(world):
    together, alone = world.fit(seeds=(4, 0, 1)), world.fit(seeds=(0,))
    np.testing.assert_array_equal(together.weight[:, 1], alone.weight[:, 0])
    np.testing.assert_array_equal(together.bias[:, 1], alone.bias[:, 0])
    assert not np.array_equal(together.weight[-1, 0], together.weight[-1, 1])


@pytest.mark.parametrize(
    ("labelling", "limits", "reason"),
    [
        (SETTINGS.labelling, Collapse(coverage=0, agreement=1.0), "it agrees with its teacher on"),
        (SETTINGS.labelling, Collapse(coverage=0, balance=1.0), "class balance fell"),
        (
            replace(SETTINGS.labelling, threshold=0.75),
            Collapse(balance=0, agreement=0),
            "coverage fell",
        ),
        (replace(SETTINGS.labelling, threshold=1.0), Collapse(), "no sample is confident enough"),
    ],
)
def test_a_round_that_collapses_is_reported_and_the_probe_before_it_kept(
    world, caplog, labelling, limits, reason
):
    settings = replace(
        SETTINGS,
        start="zero",
        labelling=labelling,
        collapse=limits,
        optimisation=replace(SETTINGS.optimisation, epochs=1, learning_rate=1e-3),
    )
    # Labels with equal frequencies: no student's predictions can be more balanced.
    balanced = world.labels if "balance" in reason else None
    probes = world.fit(settings, seeds=(0,), class_index=balanced)
    assert probes.rounds["status"].tolist() == ["ok", "collapsed", "stopped", "stopped"]
    for number in (1, 2, 3):
        np.testing.assert_array_equal(probes.weight[number], probes.weight[0])
        np.testing.assert_array_equal(probes.bias[number], probes.bias[0])
    assert f"round 1 of seed 0 collapsed: {reason}" in caplog.text
    assert "The probe of round 0 is kept." in caplog.text
    assert probes.rounds["coverage"].iloc[2:].isna().all()


def test_one_seed_that_collapses_does_not_stop_the_others(world):
    seeds = range(6)
    rough = replace(SETTINGS.optimisation, epochs=1, batch_size=4, learning_rate=0.5)
    settings = replace(SETTINGS, start="zero", optimisation=rough)
    table = world.fit(replace(settings, collapse=Collapse(0, 0, 0)), seeds=seeds).rounds
    agreement = table[table["round"] == 1].set_index("seed")["agreement"]
    assert agreement.nunique() > 1
    limits = Collapse(coverage=0, balance=0, agreement=float(agreement.mean()))
    table = world.fit(replace(settings, collapse=limits), seeds=seeds).rounds
    status = table.set_index(["round", "seed"])["status"]
    low, high = agreement.idxmin(), agreement.idxmax()
    assert [status[number, low] for number in (1, 2, 3)] == ["collapsed", "stopped", "stopped"]
    assert status[1, high] == "ok"
    assert status[2, high] in ("ok", "collapsed")


def test_each_start_begins_where_it_says(world):
    still = replace(SETTINGS.optimisation, epochs=1, learning_rate=1e-12)
    loose = Collapse(coverage=0, balance=0, agreement=0)
    settings = replace(SETTINGS, optimisation=still, collapse=loose, rounds=2)
    text, zero = (world.fit(replace(settings, start=start)) for start in ("text", "zero"))
    np.testing.assert_allclose(text.weight[2, 0], world.head.weight, atol=1e-6)
    np.testing.assert_allclose(zero.weight[1, 0], 0, atol=1e-6)


def test_previous_goes_on_where_the_last_round_ended(world):
    text, previous = (world.fit(replace(SETTINGS, start=start)) for start in ("text", "previous"))
    np.testing.assert_array_equal(text.weight[1], previous.weight[1])
    far = [np.linalg.norm(p.weight[3, 0] - p.weight[2, 0]) for p in (text, previous)]
    from_text = [np.linalg.norm(p.weight[3, 0] - world.head.weight) for p in (text, previous)]
    assert from_text[1] > 1.5 * from_text[0]
    assert far[1] > far[0]


def test_a_teacher_that_hardly_moves_repeats_its_labels(world):
    slow = world.fit(replace(SETTINGS, teacher_decay=0.999999))
    np.testing.assert_array_equal(slow.pseudo_labels[1], slow.pseudo_labels[3])
    quick = world.fit()
    assert not np.array_equal(quick.pseudo_labels[1], quick.pseudo_labels[3])
    np.testing.assert_array_equal(slow.weight[1], quick.weight[1])


def test_soft_labels_and_weak_students_are_other_probes(world):
    settings = replace(SETTINGS, student_view="strong")
    strong = world.fit(settings)
    soft = world.fit(replace(settings, labelling=replace(SETTINGS.labelling, labels="soft")))
    weak = world.fit(replace(SETTINGS, student_view="weak"))
    assert not np.array_equal(strong.weight[1], soft.weight[1])
    assert not np.array_equal(strong.weight[1], weak.weight[1])
    assert (strong.strong_policy, weak.strong_policy) == ("disjoint", "")


def test_a_student_of_both_sees_as_many_views_half_of_each_kind(world):
    assert SETTINGS.student_view == "both"
    pools = {
        view: read_pool(world.head, world.adapt, replace(SETTINGS, student_view=view))
        for view in ("both", "strong", "weak")
    }
    both, strong, weak = (pools[view].student for view in ("both", "strong", "weak"))
    assert both.shape == strong.shape == weak.shape == (2, N, D)
    np.testing.assert_array_equal(both, [weak[0], strong[0]])
    np.testing.assert_array_equal(pools["both"].teacher, weak)
    probes = world.fit()
    assert (probes.student_view, probes.strong_policy) == ("both", "disjoint")
    own = self_train(world.head, pools["both"], SETTINGS, [0, 1])
    np.testing.assert_allclose(probes.weight[1], own.weight[1], atol=1e-3)
    for view in ("strong", "weak"):
        other = world.fit(replace(SETTINGS, student_view=view))
        assert not np.allclose(probes.weight[1], other.weight[1], atol=1e-3)


def test_views_of_teacher_and_student_share_the_memory_budget(world):
    both = 4 * D * N * 4 / 1e9  # two versions of each
    fits, streams = (
        read_pool(world.head, world.adapt, replace(SETTINGS, memory_gb=both * factor))
        for factor in (1.0, 0.99)
    )
    assert isinstance(fits.student, np.ndarray)
    assert isinstance(streams.student, Streamed)
    # The teacher's take half of the budget and more: they stay on the disk, and the student's get
    # the other half.
    assert isinstance(streams.teacher, StoredViews)
    np.testing.assert_array_equal(streams.teacher.take(slice(None)), fits.teacher)
    assert streams.student.group_rows == int(0.99 * both / 2 * 1e9 / (4 * D))


def test_a_student_of_the_teachers_views_takes_no_memory_of_its_own(world):
    weak = replace(SETTINGS, student_view="weak")
    pool = read_pool(world.head, world.adapt, weak)
    assert pool.student is pool.teacher
    pool = read_pool(world.head, world.adapt, replace(weak, memory_gb=1e-6))
    assert isinstance(pool.teacher, StoredViews)
    assert isinstance(pool.student, Streamed)


def test_probabilities_are_kept_for_soft_labels_alone(world, monkeypatch):
    judged = []

    def spy(number, seed, learned, made, *arguments, **more):
        judged.append([one.probabilities is not None for one in (learned, made)])
        return judge(number, seed, learned, made, *arguments, **more)

    judge = training._judge_round
    monkeypatch.setattr(training, "_judge_round", spy)
    for labels, kept in (("hard", False), ("soft", True)):
        judged.clear()
        world.fit(replace(SETTINGS, labelling=replace(SETTINGS.labelling, labels=labels)))
        assert judged == [[kept, kept]] * 6


@pytest.mark.parametrize(("n_weak", "n_strong", "expected"), [(8, 8, 8), (3, 1, 3), (1, 1, 2)])
def test_half_of_an_odd_number_of_versions_is_rounded_up(n_weak, n_strong, expected):
    weak, strong = np.zeros((n_weak, 4, 2)), np.ones((n_strong, 4, 2))
    views = half_of_each(weak, strong)
    assert views.shape == (expected, 4, 2)
    assert (views == 1).all(axis=(1, 2)).sum() == (n_strong + 1) // 2


def test_a_view_without_versions_is_learned_as_one_version(world, tmp_path):
    with open_file(world.adapt) as file:
        samples, weak = read_table(file, "samples"), file["features/weak"][0]

    def fit_on(name, versions, view):
        write_features(
            tmp_path / name,
            samples=samples,
            versions={view: versions},
            parts=[weak[None]],
            provenance={**MODEL, "index": world.index, "views": "{}"},
        )
        settings = replace(SETTINGS, student_view=view, teacher_view=view)
        world.write_labels(settings.labelling)
        inputs = {"pseudo_labels": world.first, "adapt": tmp_path / name}
        return fit(world.head, inputs, settings, [0, 1])

    clean, one = fit_on("clean.h5", 0, "clean"), fit_on("one.h5", 1, "weak")
    np.testing.assert_array_equal(clean.weight, one.weight)
    assert not np.array_equal(clean.weight[0], clean.weight[-1])
    assert (clean.student_view, clean.strong_policy) == ("clean", "")


def test_no_label_is_counted(world):
    assert world.fit().n_labels == 0


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"index": "other"}, "made with index 'other'"),
        ({"weights": "77"}, "made with weights '77'"),
        ({"text": "aa"}, "made with text 'aa'"),
        ({"labelling": "{}"}, "made with labelling '{}'"),
    ],
)
def test_pseudo_labels_of_anything_else_are_refused(world, wrong, sentence):
    world.write_labels(SETTINGS.labelling, **wrong)
    inputs = {"pseudo_labels": world.first, "adapt": world.adapt}
    with pytest.raises(LpclipError, match=sentence):
        fit(world.head, inputs, SETTINGS, [0])


@pytest.fixture
def importances(monkeypatch):
    """Record the loss weights of the students, [S, N] per round."""
    given = []

    def spy(views, targets, importance, **more):
        given.append(importance.cpu().numpy())
        return train(views, targets, importance, **more)

    train = training.train_student
    monkeypatch.setattr(training, "train_student", spy)
    return given


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_class_weighting_is_a_negative_power_of_the_frequency_with_mean_1(
    world, importances, power
):
    probes = world.fit(
        replace(SETTINGS, class_weighting=power, labelling=plain(threshold=0.6), rounds=2)
    )
    for number, importance in enumerate(importances, start=1):
        for seed_index in range(2):
            index = probes.pseudo_labels[number, seed_index]
            kept = probes.selected[number, seed_index]
            counts = 1 + np.array([sum(index[kept] == c) for c in range(C)])
            expected = kept / counts[index] ** power
            expected /= expected[kept].mean()
            np.testing.assert_allclose(importance[seed_index], expected, rtol=1e-4)
            assert importance[seed_index, kept].mean() == pytest.approx(1, rel=1e-4)
            assert len(set(counts)) > 1
    assert 0 < probes.selected[1, 0].sum() < N
    if power == 0:
        np.testing.assert_array_equal(importances[0], probes.selected[1])


def test_class_weighting_1_gives_every_class_about_the_same_share_of_the_loss(world, importances):
    labels = np.minimum(np.arange(N) % 10, C - 1)
    settings = replace(SETTINGS, rounds=1, labelling=plain(threshold=0.0))
    shares = {}
    for power in (0.0, 1.0):
        world.fit(replace(settings, class_weighting=power), class_index=labels)
        shares[power] = np.bincount(labels, weights=importances[-1][0]) / N
    np.testing.assert_allclose(shares[0.0], [0.1, 0.1, 0.8])
    np.testing.assert_allclose(shares[1.0], 1 / 3, atol=0.02)


def test_class_weighting_of_nothing_is_nothing(world, importances):
    nothing = replace(SETTINGS, rounds=1, class_weighting=1.0, labelling=plain(threshold=1.0))
    world.fit(nothing)
    assert (importances[0] == 0).all()


@pytest.mark.parametrize("labelling", [SETTINGS.labelling, Labelling(threshold=0.7)])
def test_labels_made_by_the_stage_and_by_self_training_are_the_same(world, tmp_path, labelling):
    settings = replace(SETTINGS, labelling=labelling, rounds=2)
    text = tmp_path / "text.h5"
    write_text(
        text,
        features=world.head.weight,
        class_names=world.head.class_names,
        provenance={**MODEL, "scale": SCALE, "bias": 0.0},
    )
    pseudo_labels(text=text, features=world.adapt, output=world.first, labelling=labelling)
    inputs = {"pseudo_labels": world.first, "adapt": world.adapt}
    given = fit(world.head, inputs, settings, [0, 1])
    own = self_train(world.head, read_pool(world.head, world.adapt, settings), settings, [0, 1])
    np.testing.assert_array_equal(given.pseudo_labels, own.pseudo_labels)
    np.testing.assert_array_equal(given.selected, own.selected)
    np.testing.assert_array_equal(given.weight, own.weight)
    pd.testing.assert_frame_equal(given.rounds, own.rounds)
    assert not np.array_equal(own.weight[0], own.weight[-1])


def test_views_beyond_the_memory_budget_are_streamed_to_the_same_end(world):
    settings = replace(SETTINGS, memory_gb=1e-6)
    assert isinstance(read_pool(world.head, world.adapt, settings).student, Streamed)
    in_memory = read_pool(world.head, world.adapt, SETTINGS)
    assert isinstance(in_memory.student, np.ndarray)
    streamed = world.fit(settings)
    same_order = replace(in_memory, student=stream_array(in_memory.student, group_rows=1))
    labels = self_training._read_pseudo_labels(
        {"pseudo_labels": world.first, "adapt": world.adapt}, world.head, SETTINGS.labelling
    )
    expected = self_train(world.head, same_order, SETTINGS, [0, 1], labels=labels)
    np.testing.assert_array_equal(streamed.weight, expected.weight)
    for seed_index in range(2):
        assert (
            world.accuracy(streamed, -1, seed_index)
            > world.accuracy(streamed, 0, seed_index) + 0.05
        )
