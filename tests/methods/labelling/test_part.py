"""The part of an unlabelled set that is learned: images of the classes, classes with images."""

from dataclasses import replace

import numpy as np
import pytest

from lpclip.methods.labelling.part import Part, learned_part
from lpclip.methods.labelling.pseudo_labels import label_by_zero_shot
from lpclip.methods.labelling.settings import Labelling
from lpclip.methods.training.pool import Pool
from lpclip.methods.training.rounds import STOPPED
from lpclip.methods.training.self_training import self_train
from lpclip.methods.training.self_training_settings import Settings
from lpclip.methods.training.settings import Optimisation
from lpclip.storage.pseudo_labels import PseudoLabels
from tests.helpers.gaussian_pools import Gaussians

ALL = Labelling(classes="all", images="all")
TRAINING = Settings(rounds=2, student_view="clean", optimisation=Optimisation(epochs=2))
PRESENT, N_CLASSES = 12, 20


@pytest.fixture(scope="module")
def untidy():
    """Head, views and labels of a pool: 8 classes have no images, a fifth of it is other images."""
    gaussians = Gaussians(N_CLASSES)
    views, labels = gaussians.pool([20] * PRESENT + [0] * (N_CLASSES - PRESENT), n_ood=60)
    return gaussians.head, views, labels


@pytest.fixture(scope="module")
def trained(untidy):
    head, views, _ = untidy
    return self_train(head, Pool(views, views), TRAINING, [0, 1])


def test_other_images_and_classes_without_images_are_left_out(untidy):
    head, views, labels = untidy
    part = learned_part(head, views, Labelling())
    assert part.chosen[labels >= 0].mean() > 0.95
    assert part.chosen[labels < 0].mean() < 0.15
    np.testing.assert_array_equal(part.classes, np.arange(PRESENT))
    assert not part.whole


def test_a_labelling_that_takes_all_for_granted_learns_all(untidy):
    head, views, labels = untidy
    assert learned_part(head, views, ALL).whole
    part = learned_part(head, views, replace(ALL, classes="supported"))
    assert len(part.rows) == len(labels)
    assert len(part.classes) < N_CLASSES
    part = learned_part(head, views, replace(ALL, images="in_distribution"))
    assert len(part.rows) < len(labels)
    assert len(part.classes) == N_CLASSES


def test_a_tidy_pool_is_learned_whole_but_for_a_few_images():
    gaussians = Gaussians(N_CLASSES)
    views, _ = gaussians.pool([20] * N_CLASSES)
    part = learned_part(gaussians.head, views, Labelling())
    assert len(part.classes) == N_CLASSES
    assert part.chosen.mean() > 0.97


def test_images_that_are_left_out_are_never_learned(untidy, trained):
    head, views, labels = untidy
    left_out = ~learned_part(head, views, Labelling()).chosen
    assert left_out[labels < 0].mean() > 0.85
    assert not trained.selected[:, :, left_out].any()
    assert (trained.pseudo_labels[:, :, left_out] == -1).all()
    assert trained.selected[1:, :, ~left_out].any(axis=2).all()
    learned = trained.pseudo_labels[1:][trained.selected[1:]]
    assert set(np.unique(learned)) == set(range(PRESENT))
    # Taken in, they are learned as if they were of the classes.
    everything = replace(TRAINING, labelling=ALL)
    found = self_train(head, Pool(views, views), everything, [0])
    assert found.selected[1:, :, left_out].any()


def test_the_first_labels_leave_them_out_too(untidy):
    head, views, _ = untidy
    part = learned_part(head, views, Labelling())
    made = label_by_zero_shot(head, views, Labelling())
    left_out = ~part.chosen
    assert not made.selected[left_out].any()
    assert (made.class_index[left_out] == -1).all()
    np.testing.assert_allclose(made.probabilities[left_out], 1 / N_CLASSES)
    np.testing.assert_allclose(made.probabilities.sum(axis=1), 1, rtol=1e-5)
    assert (made.probabilities[part.chosen][:, PRESENT:] == 0).all()
    assert set(np.unique(made.class_index[part.chosen])) == set(range(PRESENT))


def test_students_learn_the_given_first_labels_as_those_that_are_made(untidy, trained):
    head, views, _ = untidy
    labels = label_by_zero_shot(head, views, Labelling())
    given = self_train(head, Pool(views, views), TRAINING, [0, 1], labels=labels)
    np.testing.assert_allclose(given.weight, trained.weight, atol=1e-6)
    np.testing.assert_array_equal(given.selected, trained.selected)


@pytest.mark.parametrize("soft", [True, False])
def test_completed_labels_have_the_part_in_them(soft):
    part = Part(np.array([0, 2, 5]), np.array([1, 3]), 6, 5)
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]], dtype=np.float32)
    labels = PseudoLabels(
        probabilities if soft else None,
        np.array([0, 1, 0], dtype=np.int32),
        np.array([0.9, 0.8, 0.5], dtype=np.float32),
        np.array([True, True, False]),
    )
    whole = part.complete(labels)
    np.testing.assert_array_equal(whole.class_index, [1, -1, 3, -1, -1, 1])
    np.testing.assert_array_equal(whole.selected, [1, 0, 1, 0, 0, 0])
    again = part.of(whole)
    for name in ("probabilities", "class_index", "confidence", "selected"):
        found, expected = getattr(again, name), getattr(labels, name)
        if expected is None:
            assert found is None
        else:
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == expected.dtype


@pytest.mark.parametrize("classes", [[], [3]])
def test_fewer_than_two_classes_leave_zero_shot_in_every_round(untidy, classes):
    head, views, labels = untidy
    part = Part(np.arange(len(labels)), np.array(classes, dtype=int), len(labels), N_CLASSES)
    found = self_train(head, Pool(views, views), TRAINING, [4, 5], part=part)
    assert found.weight.shape == (3, 2, *head.weight.shape)
    for weight in found.weight.reshape(-1, *head.weight.shape):
        np.testing.assert_array_equal(weight, head.weight)
    assert (found.bias == head.bias).all()
    assert found.rounds["status"].tolist() == ["ok"] * 2 + [STOPPED] * 4
    assert not found.selected.any()
    assert (found.pseudo_labels == -1).all()


def test_a_pool_of_one_class_has_no_labels():
    gaussians = Gaussians(N_CLASSES)
    views, labels = gaussians.pool([40] + [0] * (N_CLASSES - 1))
    assert len(learned_part(gaussians.head, views, Labelling()).classes) < 2
    made = label_by_zero_shot(gaussians.head, views, Labelling())
    assert not made.selected.any()
    assert (made.class_index == -1).all()
    assert made.probabilities.shape == (len(labels), N_CLASSES)


@pytest.mark.parametrize("n_images", [2, 12])
def test_more_classes_than_images_is_a_case_like_others(n_images):
    gaussians = Gaussians(N_CLASSES)
    views, _ = gaussians.pool([1] * n_images + [0] * (N_CLASSES - n_images))
    for labelling in (Labelling(), ALL):
        settings = replace(TRAINING, labelling=labelling)
        found = self_train(gaussians.head, Pool(views, views), settings, [0])
        assert np.isfinite(found.weight).all()
        assert found.weight.shape[2] == N_CLASSES
        assert found.selected.shape == (3, 1, n_images)
