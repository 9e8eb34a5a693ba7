"""Methods on another method's probes: temperature scaling and interpolation with zero-shot."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from lpclip.errors import LpclipError
from lpclip.methods.kinds import deep_ensemble, supervised, temperature_scaling, wise_ft, zero_shot
from lpclip.methods.kinds.temperature_scaling import fit_temperature
from lpclip.methods.registry import needs, sees_labels
from lpclip.methods.training.labelled import OnLabels
from lpclip.storage.probes import write_probes
from tests.helpers.labelled import MODEL, SCALE, softmax, world, write_samples

SEEDS = [0, 1]
HALF = supervised.Settings(log10_c_low=1, log10_c_high=1, c_steps=1, label_share=0.5)
MEMBERS = deep_ensemble.Settings(
    members=3, label_share=0.5, optimisation=OnLabels(epochs=5, learning_rate=0.02)
)


@pytest.fixture
def scene(tmp_path):
    head, inputs, features, labels = world(tmp_path, 3)
    inputs = {**inputs, "probes": tmp_path / "probes.h5"}
    return head, inputs, features, labels


def write(scene, kind, settings, seeds=SEEDS):
    head, inputs, _, _ = scene
    base = kind.fit(head, inputs, settings, seeds)
    write_probes(inputs["probes"], base, {**MODEL, "method": "base"})
    return base


def loss(logits, labels):
    own = logits[np.arange(len(labels)), labels]
    return np.mean(np.logaddexp.reduce(logits, axis=1) - own)


def test_the_temperature_is_that_of_a_search_over_a_fine_grid():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 200)
    logits = 9 * (0.5 * np.eye(4)[labels] + rng.normal(size=(200, 4)) / 3)
    grid = np.geomspace(0.01, 100, 20001)
    best = grid[np.argmin([loss(logits / t, labels) for t in grid])]
    assert fit_temperature(logits[None], labels) == pytest.approx(best, rel=2e-3)
    assert best > 1.5
    # Two equal members are equivalent to one.
    assert fit_temperature(np.stack([logits] * 2), labels) == pytest.approx(best, rel=2e-3)


def test_a_head_that_is_always_right_gets_a_low_temperature():
    labels = np.arange(12) % 3
    assert fit_temperature(np.eye(3)[labels][None], labels) < 0.05


@pytest.mark.parametrize(("kind", "settings"), [(supervised, HALF), (deep_ensemble, MEMBERS)])
def test_scaled_logits_are_those_of_the_method_over_one_temperature(scene, kind, settings):
    head, inputs, features, labels = scene
    base = write(scene, kind, settings)
    found = temperature_scaling.fit(
        head, inputs, temperature_scaling.Settings("base", labels=30), SEEDS
    )
    for seed_index in range(len(SEEDS)):
        fresh = found.labels_seen[seed_index] & ~base.labels_seen[seed_index]
        assert fresh.sum() == 30
        weight, bias = (values[seed_index] for values in base.last())
        logits = SCALE * features[fresh] @ weight.mT + bias[:, None]
        temperature = fit_temperature(logits, labels[fresh])
        np.testing.assert_allclose(found.last()[0][seed_index], weight / temperature, rtol=1e-4)
        np.testing.assert_allclose(found.last()[1][seed_index], bias / temperature, rtol=1e-4)
        before, after = (
            loss(probes.logits(features[fresh], -1, seed_index), labels[fresh])
            for probes in (base, found)
        )
        assert after < before
    assert found.n_labels == base.n_labels + 30
    np.testing.assert_array_equal(found.weight[0], base.weight[0])


def test_zero_shot_is_scaled_for_every_seed_on_labels_of_its_own(scene):
    head, inputs, features, _ = scene
    write(scene, zero_shot, zero_shot.Settings())
    settings = temperature_scaling.Settings("base", labels=20)
    found = temperature_scaling.fit(head, inputs, settings, SEEDS)
    assert found.seeds == tuple(SEEDS)
    assert found.n_labels == 20
    assert not np.array_equal(*found.labels_seen)
    zero = SCALE * features @ head.weight.T
    ratio = zero / found.logits(features, 1, 1)
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-3)
    again = temperature_scaling.fit(head, inputs, settings, SEEDS)
    np.testing.assert_array_equal(found.weight, again.weight)


def test_labels_that_were_not_drawn_do_not_change_the_temperature(scene):
    head, inputs, _, labels = scene
    write(scene, zero_shot, zero_shot.Settings())
    settings = temperature_scaling.Settings("base", labels=20)
    before = temperature_scaling.fit(head, inputs, settings, [0])
    others = np.where(before.labels_seen[0], labels, (labels + 1) % 3)
    write_samples(inputs["samples"], others, head.class_names)
    after = temperature_scaling.fit(head, inputs, settings, [0])
    np.testing.assert_array_equal(before.weight, after.weight)


def test_a_method_that_saw_every_label_leaves_none_to_scale_by(scene):
    head, inputs, _, _ = scene
    write(scene, supervised, replace(HALF, label_share=1.0))
    with pytest.raises(LpclipError, match=r"needs 30 labels.*there are 0\..*label_share"):
        temperature_scaling.fit(
            head, inputs, temperature_scaling.Settings("base", labels=30), SEEDS
        )


@pytest.mark.parametrize(("kind", "settings"), [(supervised, HALF), (deep_ensemble, MEMBERS)])
def test_alpha_0_is_zero_shot_and_alpha_1_the_method(scene, kind, settings):
    head, inputs, features, _ = scene
    base = write(scene, kind, settings)
    probes = {"probes": inputs["probes"]}
    start, middle, end = (
        wise_ft.fit(head, probes, wise_ft.Settings("base", alpha), SEEDS)
        for alpha in (0.0, 0.25, 1.0)
    )
    for seed_index in range(len(SEEDS)):
        zero = softmax(SCALE * features @ head.weight.T)
        np.testing.assert_allclose(softmax(start.logits(features, -1, seed_index)), zero, atol=1e-5)
    for ours, theirs in zip(end.last(), base.last(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    expected = 0.75 * head.weight + 0.25 * base.last()[0]
    np.testing.assert_allclose(middle.last()[0], expected, atol=1e-6)
    np.testing.assert_allclose(middle.last()[1], 0.25 * base.last()[1], atol=1e-6)
    assert middle.n_labels == base.n_labels
    np.testing.assert_array_equal(middle.labels_seen, base.labels_seen)


def test_the_way_from_zero_shot_to_a_scaled_head_can_be_gone_too(scene):
    head, inputs, _, _ = scene
    write(scene, supervised, HALF)
    scaled = temperature_scaling.fit(
        head, inputs, temperature_scaling.Settings("base", labels=30), SEEDS
    )
    write_probes(inputs["probes"], scaled, {**MODEL, "method": "base"})
    found = wise_ft.fit(head, inputs, wise_ft.Settings("base", 1.0), SEEDS)
    np.testing.assert_array_equal(found.weight, scaled.weight)
    assert found.n_labels == scaled.n_labels


@pytest.mark.parametrize(
    ("settings", "seeds", "sentence"),
    [
        (wise_ft.Settings("other"), SEEDS, "made with method 'base', not 'other'"),
        (wise_ft.Settings("base"), [1], r"was made with seeds \[0, 1\], not \[1\]"),
        (wise_ft.Settings("base"), [0, 1, 2], r"was made with seeds \[0, 1\], not \[0, 1, 2\]"),
    ],
)
def test_probes_of_another_method_or_other_seeds_are_refused(scene, settings, seeds, sentence):
    head, inputs, _, _ = scene
    write(scene, supervised, HALF)
    with pytest.raises(LpclipError, match=sentence):
        wise_ft.fit(head, inputs, settings, seeds)


def test_only_temperature_scaling_reads_labels():
    assert sees_labels("temperature_scaling")
    assert needs("wise_ft") == ("probes",)


def test_importing_every_kind_imports_nothing_that_takes_long():
    code = (
        "import sys; from lpclip.methods.registry import kinds, load_method; "
        "[load_method(kind) for kind in kinds()]; "
        "sys.exit(bool({'torch', 'sklearn', 'scipy.optimize'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
