"""Classes without images keep what zero-shot gives them."""

from dataclasses import replace

import numpy as np
import pytest

from lpclip.methods.labelling.part import learned_part
from lpclip.methods.labelling.settings import Labelling
from lpclip.methods.training.other_classes import complete, total_logit
from lpclip.methods.training.pool import Pool
from lpclip.methods.training.self_training import self_train
from lpclip.methods.training.self_training_settings import Settings
from lpclip.methods.training.settings import Optimisation
from lpclip.storage.features import normalise
from tests.helpers.gaussian_pools import Gaussians

PRESENT, N_CLASSES = 10, 20
# Ten times as fast as the default, so that a small pool shows what training does.
TRAINING = Settings(
    rounds=2, student_view="clean", optimisation=Optimisation(epochs=20, learning_rate=0.003)
)
ALL = Labelling(classes="all")


class World:
    """A pool with images of half of the classes, and images of all of them."""

    def __init__(self):
        gaussians = Gaussians(N_CLASSES)
        self.generator = gaussians.generator
        views, _ = gaussians.pool([40] * PRESENT + [0] * (N_CLASSES - PRESENT))
        self.head, self.views = gaussians.head, self.rougher(views)
        self.labels = np.repeat(np.arange(N_CLASSES), 30)
        self.test = self.rougher(gaussians.images(self.labels))

    def rougher(self, features):
        noise = self.generator.standard_normal(features.shape) / np.sqrt(features.shape[-1])
        return normalise((features + 0.5 * noise).astype(np.float32))

    def train(self, labelling):
        settings = replace(TRAINING, labelling=labelling)
        return self_train(self.head, Pool(self.views, self.views), settings, [0, 1])

    def accuracy(self, probes, round, *, absent):
        """Return the accuracy for test images of classes that are absent, or present."""
        logits = probes.scale * self.test @ probes.weight[round, 0].T + probes.bias[round, 0]
        of = (self.labels >= PRESENT) == absent
        return float(np.mean(logits.argmax(axis=1)[of] == self.labels[of]))


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture(scope="module")
def trained(world):
    return world.train(Labelling())


@pytest.fixture(scope="module")
def everything(world):
    """Probes that learned all classes."""
    return world.train(ALL)


def test_rows_of_classes_without_images_are_the_text_features(world, trained, everything):
    for weight in trained.weight.reshape(-1, N_CLASSES, world.head.weight.shape[1]):
        np.testing.assert_array_equal(weight[PRESENT:], world.head.weight[PRESENT:])
    assert (trained.bias[..., PRESENT:] == world.head.bias).all()
    changed = np.abs(trained.weight[1:] - world.head.weight).max(axis=-1)
    assert (changed[..., :PRESENT] > 1e-3).all()
    # So could they fail: without the setting all rows are learned.
    assert (np.abs(everything.weight[-1] - world.head.weight).max(axis=-1) > 1e-3).all()


def test_round_0_is_zero_shot(world, trained):
    np.testing.assert_array_equal(trained.weight[0], [world.head.weight] * 2)
    assert (trained.bias[0] == world.head.bias).all()


def test_learned_classes_have_the_standing_that_zero_shot_gives_them(world, trained, everything):
    def standing(weight, bias):
        logits = world.head.scale * world.views[0] @ weight[:PRESENT].T + bias[:PRESENT]
        return np.mean(np.log(np.exp(logits.astype(np.float64)).sum(axis=1)))

    rows = learned_part(world.head, world.views, Labelling()).chosen
    assert rows.all()
    before = standing(world.head.weight, np.full(N_CLASSES, world.head.bias))
    for round in (1, 2):
        for seed_index in (0, 1):
            found = standing(trained.weight[round, seed_index], trained.bias[round, seed_index])
            assert found == pytest.approx(before, abs=1e-3)
    assert abs(standing(everything.weight[-1, 0], everything.bias[-1, 0]) - before) > 0.1


def test_images_of_an_absent_class_still_reach_it(world, trained, everything):
    zero_shot = world.accuracy(trained, 0, absent=True)
    assert 0.9 < zero_shot < 1
    assert world.accuracy(trained, -1, absent=True) >= zero_shot - 0.01
    assert world.accuracy(trained, -1, absent=False) > world.accuracy(trained, 0, absent=False)
    # Learning all classes teaches the head that the absent ones do not exist.
    assert world.accuracy(everything, -1, absent=True) < zero_shot - 0.05


def test_the_total_logit_is_averaged_over_views_and_samples():
    rng = np.random.default_rng(0)
    views, weight, bias = rng.normal(size=(3, 7, 5)), rng.normal(size=(4, 5)), rng.normal(size=4)
    expected = [
        np.log(sum(np.exp(weight[c] @ x + bias[c]) for c in range(4)))
        for view in views
        for x in view
    ]
    assert total_logit(weight, bias, views) == pytest.approx(np.mean(expected))


def test_a_head_that_only_scales_its_logits_keeps_its_standing(world):
    part = learned_part(world.head, world.views, Labelling())
    own = world.head.of(part.classes)
    weight, bias = own.as_round(1)
    settings = replace(TRAINING, rounds=1, optimisation=Optimisation(epochs=1))
    learned = self_train(own, Pool(world.views, world.views), replace(settings, labelling=ALL), [0])
    scaled = replace(
        learned, weight=np.stack([weight, 3 * weight]), bias=np.stack([bias, bias + 5])
    )
    found = complete(scaled, world.head, part, world.views)
    assert found.class_names == world.head.class_names
    before = total_logit(world.head.scale * own.weight, bias[0], world.views)
    after = total_logit(
        world.head.scale * found.weight[1, 0, part.classes],
        found.bias[1, 0, part.classes],
        world.views,
    )
    assert after == pytest.approx(before, abs=1e-3)
    # All learned classes are moved by the same.
    assert np.ptp(found.bias[1, 0, part.classes]) < 1e-4
    np.testing.assert_array_equal(found.bias[1, 0, PRESENT:], world.head.bias)
