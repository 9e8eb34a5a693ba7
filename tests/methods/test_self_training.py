"""Self-training on synthetic features: it improves a tilted head, and reports what collapses."""

import json
import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lpclip import cache
from lpclip.errors import LpclipError
from lpclip.methods import Inputs, ZeroShotHead
from lpclip.methods.self_training import Collapse, Settings, fit
from lpclip.pseudo_labels import Labelling, label, mean_prediction
from lpclip.student import Optimisation


def plain(**changes):
    """A labelling without the corrections that look at the set as a whole."""
    return Labelling(
        **{"temperature": 1.0, "structure": 0.0, "prior": "none", "class_floor": 0.0} | changes
    )


N, C, D, SCALE = 150, 3, 12, 12.0
MODEL = {"model": "tiny", "weights": "3f9a"}
SETTINGS = Settings(
    rounds=3,
    class_weighting=0.0,
    labelling=plain(threshold=0.4, prior="align"),
    optimisation=Optimisation(epochs=8, batch_size=64, learning_rate=0.01),
)


class World:
    """Clusters that a line separates, and a zero-shot head that leans to the first class."""

    def __init__(self, folder):
        rng = np.random.default_rng(0)
        centres = np.linalg.qr(rng.normal(size=(D, D)))[0][:C]
        self.labels = np.arange(N) % C
        clean = centres[self.labels] + 0.2 * rng.normal(size=(N, D))
        views = [clean + 0.05 * rng.normal(size=(N, D)) for _ in range(4)]
        tilted = centres + 1.3 * centres[0] + 0.2 * rng.normal(size=(C, D))
        self.head = ZeroShotHead(
            weight=cache.normalise(tilted.astype(np.float32)),
            bias=0.0,
            scale=SCALE,
            class_names=("a", "b", "c"),
            expected=dict(MODEL),
        )
        self.clean = cache.normalise(clean.astype(np.float32))
        samples = pd.DataFrame({"id": [f"s{i}" for i in range(N)], "path": ["x"] * N})
        self.index = cache.fingerprint(samples)
        self.adapt, self.first = folder / "adapt.h5", folder / "pseudo_labels.h5"
        cache.write_features(
            self.adapt,
            samples=samples,
            versions={"weak": 2, "strong": 2},
            parts=[np.stack(views).astype(np.float16)],
            provenance={
                **MODEL,
                "index": self.index,
                "views": '{"strong": {"policy": "disjoint"}, "weak": {}}',
            },
        )
        self.weak = cache.read_features(self.adapt, "weak", expected={})

    def write_labels(self, labelling, /, class_index=None, **more):
        logits = SCALE * self.weak @ self.head.weight.T
        made = label(mean_prediction(logits, temperature=labelling.temperature), labelling)
        if class_index is not None:
            made = replace(made, class_index=class_index.astype(np.int32))
        provenance = {
            **MODEL,
            "index": self.index,
            "text": cache.text_fingerprint(self.head.weight),
            "labelling": json.dumps(vars(labelling), sort_keys=True),
            **more,
        }
        with cache.create(self.first, kind="pseudo_labels", provenance=provenance) as file:
            table = pd.DataFrame(
                {
                    "id": [f"s{i}" for i in range(N)],
                    "class_index": made.class_index,
                    "confidence": made.confidence,
                    "selected": made.selected,
                }
            )
            cache.write_table(file, "pseudo_labels", table)
            file["probabilities"] = made.probabilities.astype(np.float16)
        return made

    def fit(self, settings=SETTINGS, seeds=(0, 1), class_index=None):
        self.write_labels(settings.labelling, class_index)
        return fit(
            self.head, Inputs(pseudo_labels=self.first, adapt=self.adapt), settings, list(seeds)
        )

    def accuracy(self, probes, number, column=0):
        logits = SCALE * self.clean @ probes.weight[number, column].T + probes.bias[number, column]
        return float(np.mean(logits.argmax(axis=1) == self.labels))


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.fixture(autouse=True)
def readable_log(caplog, monkeypatch):
    """Warnings reach the test whatever another test did to the package's logger."""
    monkeypatch.setattr(logging.getLogger("lpclip"), "propagate", True)
    caplog.set_level(logging.WARNING, logger="lpclip")


def test_rounds_improve_a_tilted_head_for_every_seed(world):
    probes = world.fit()
    for column in range(2):
        before, after = world.accuracy(probes, 0, column), world.accuracy(probes, -1, column)
        assert before < 0.9
        assert after > before + 0.05


def test_round_0_is_the_zero_shot_head(world):
    probes = world.fit()
    assert probes.weight.shape == (4, 2, C, D)
    for column in range(2):
        np.testing.assert_array_equal(probes.weight[0, column], world.head.weight)
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
    second = label(mean_prediction(logits, temperature=1.0), SETTINGS.labelling)
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
    # Labels of equal frequencies, which no student's predictions can be more balanced than.
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
    strong = world.fit()
    soft = world.fit(replace(SETTINGS, labelling=replace(SETTINGS.labelling, labels="soft")))
    weak = world.fit(replace(SETTINGS, student_view="weak"))
    assert not np.array_equal(strong.weight[1], soft.weight[1])
    assert not np.array_equal(strong.weight[1], weak.weight[1])
    assert (strong.strong_policy, weak.strong_policy) == ("disjoint", "")


def test_a_view_without_versions_is_learned_as_one_version(world, tmp_path):
    with cache.open_file(world.adapt) as file:
        samples, weak = cache.read_table(file, "samples"), file["features/weak"][0]

    def fit_on(name, versions, view):
        cache.write_features(
            tmp_path / name,
            samples=samples,
            versions={view: versions},
            parts=[weak[None]],
            provenance={**MODEL, "index": world.index, "views": "{}"},
        )
        settings = replace(SETTINGS, student_view=view, teacher_view=view)
        world.write_labels(settings.labelling)
        inputs = Inputs(pseudo_labels=world.first, adapt=tmp_path / name)
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
    inputs = Inputs(pseudo_labels=world.first, adapt=world.adapt)
    with pytest.raises(LpclipError, match=sentence):
        fit(world.head, inputs, SETTINGS, [0])
