"""Each piece of evidence on a head, computed by hand."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from lpclip.methods.labelling.part import Part
from lpclip.methods.training.evidence import Evidence, ExaminedImages
from lpclip.storage.features import normalise
from tests.helpers.gaussian_pools import Gaussians, head_of

N, C = 8, 2
ZERO = (0, 0, 0, 1, 1, 1, 1, 0)  # wrong for samples 3 and 7
TRUTH = (0, 0, 0, 0, 1, 1, 1, 1)
NAMES = tuple(asdict(Evidence(*[0.0] * 8)))


def by_hand(classes, **cached):
    """Return 8 images on a circle, whose nearest are (0, 1), (2, 3), (4, 5), (6, 7).

    Args:
        classes: predictions by name of the head; zero-shot's under "zero".
        cached: what the images would compute.
    """
    angles = np.radians([0, 2, 20, 22, 90, 92, 110, 112])
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    views = normalise(np.stack([circle, circle]))
    head = head_of(np.eye(2), 10.0)
    images = ExaminedImages(head, views, Part(np.arange(N), np.arange(C), N, C))
    structure = replace(images.structure, most_neighbours=1)
    np.testing.assert_array_equal(structure.neighbours[1][:, 0], np.arange(N) ^ 1)
    cached = {"structure": structure, "zero_shot": np.array(classes), **cached}
    images.__dict__.update(cached)
    return images


def gather(images, ours, others=()):
    """Gather the evidence on a head that predicts these classes."""
    object.__setattr__(images, "predicted", lambda *_: np.array(ours))
    return images.gather(np.eye(2), np.zeros(2), [np.array(one) for one in others])


UNIFORM = (np.arange(N), np.full((N, C), 0.5, dtype=np.float32))


def test_change_is_the_share_of_images_for_which_the_two_differ():
    images = by_hand(ZERO, _around=UNIFORM, _gaussian=np.array(TRUTH))
    assert gather(images, TRUTH).change == 2 / 8
    assert gather(images, tuple(1 - c for c in TRUTH)).change == 6 / 8


def test_neighbours_vote_by_zero_shot_where_the_two_differ():
    images = by_hand(ZERO, _around=UNIFORM, _gaussian=np.array(TRUTH))
    # The neighbours of samples 3 and 7 are 2 and 6, to which zero-shot gives the head's class.
    assert gather(images, TRUTH).neighbours == 1
    # Of sample 0, whose neighbour is of the other class, likewise; of 3 alone.
    assert gather(images, (1, 0, 0, 0, 1, 1, 1, 0)).neighbours == 1 / 2


def test_the_posterior_is_that_of_the_neighbours_for_the_two_classes():
    around = np.tile(np.float32([0.25, 0.75]), (N, 1))
    around[7] = (0.1, 0.9)
    images = by_hand(ZERO, _around=(np.arange(N), around), _gaussian=np.array(TRUTH))
    # Sample 3: head 0, zero-shot 1; sample 7: head 1, zero-shot 0.
    expected = ((0.25 - 0.75) + (0.9 - 0.1)) / 2
    assert gather(images, TRUTH).posterior == pytest.approx(expected)


def test_gaussian_classes_and_other_candidates_vote_for_one_of_the_two():
    reader = (1, 1, 0, 0, 1, 1, 1, 0)  # for the head on 3, for zero-shot on 7
    images = by_hand(ZERO, _around=UNIFORM, _gaussian=np.array(reader))
    found = gather(images, TRUTH, others=[TRUTH, ZERO, TRUTH])
    assert found.gaussian == 0
    assert found.others == pytest.approx(1 / 3)
    assert gather(images, TRUTH).others == 0
    images = by_hand(ZERO, _around=UNIFORM, _gaussian=np.array(TRUTH))
    assert gather(images, TRUTH, others=[ZERO]).gaussian == 1
    assert gather(images, TRUTH, others=[ZERO]).others == -1


def test_what_is_known_of_the_pool_does_not_depend_on_the_head():
    images = by_hand(ZERO, _around=UNIFORM, _gaussian=np.array(TRUTH))
    for ours in (TRUTH, ZERO):
        found = gather(images, ours)
        # The pairs (2, 3) and (6, 7) disagree under zero-shot.
        assert found.zero_shot_agreement == 4 / 8
        assert (found.support, found.images_per_class) == (1, 4)


def test_nothing_speaks_for_a_head_that_changes_no_prediction():
    images = by_hand(ZERO, _around=UNIFORM, _gaussian=np.array(TRUTH))
    found = gather(images, ZERO, others=[TRUTH])
    assert (found.change, found.neighbours, found.posterior) == (0, 0, 0)
    assert (found.gaussian, found.others) == (0, 0)


@pytest.fixture(scope="module")
def untidy():
    """A images of a pool that lacks half of the classes."""
    gaussians = Gaussians(20)
    views, labels = gaussians.pool([20] * 10 + [0] * 10)
    noise = np.random.default_rng(0).normal(size=views.shape, scale=0.03)
    part = Part(np.arange(len(labels)), np.arange(10), len(labels), 20)
    return ExaminedImages(
        gaussians.head, normalise((views + noise).astype(np.float32)), part
    ), labels


def test_zero_shot_itself_changes_nothing(untidy):
    images, _ = untidy
    found = images.gather(*images.head.as_round(1))
    assert found.change == found.gaussian == found.posterior == 0
    assert (found.support, found.images_per_class) == (0.5, 20)
    assert 0.5 < found.zero_shot_agreement <= 1


def test_a_better_head_has_more_around_its_changes_than_a_worse_one(untidy):
    images, labels = untidy
    means = np.stack([images.views[0][labels == c].mean(axis=0) for c in range(10)])
    better = images.head.weight.copy()
    direction = 0.3 * normalise(means - means.mean(axis=0))
    better[:10] += direction
    centred = np.zeros(20, dtype=np.float32)
    centred[:10] = -images.head.scale * direction @ means.mean(axis=0)
    rng = np.random.default_rng(1)
    worse = normalise(images.head.weight + 0.06 * rng.normal(size=better.shape)).astype(np.float32)
    bias = np.zeros(20, dtype=np.float32)
    heads = {"zero": (images.head.weight, bias), "good": (better, centred), "bad": (worse, bias)}
    right = {name: np.mean(images.predicted(*one) == labels) for name, one in heads.items()}
    assert right["bad"] < right["zero"] < right["good"]
    good, bad = images.gather(*heads["good"]), images.gather(*heads["bad"])
    for name in ("neighbours", "posterior", "gaussian"):
        assert getattr(good, name) > getattr(bad, name)
    assert good.posterior > 0 > bad.posterior


def test_classes_without_support_have_no_probability_nearby_and_no_gaussian(untidy):
    images, _ = untidy
    rows, around = images._around
    assert len(rows) == images.views.shape[1]
    assert (around[:, 10:] == 0).all()
    np.testing.assert_allclose(around.sum(axis=1), 1, rtol=1e-5)
    assert set(np.unique(images._gaussian)) <= set(range(10))


def test_evidence_of_few_images_is_finite():
    gaussians = Gaussians(4)
    for n in (2, 3):
        views, _ = gaussians.pool([1] * n + [0] * (4 - n))
        images = ExaminedImages(gaussians.head, views, Part(np.arange(n), np.arange(4), n, 4))
        weight = np.roll(gaussians.head.weight, 1, axis=0)
        found = images.gather(weight, np.zeros(4, dtype=np.float32), [np.zeros(n, dtype=int)])
        assert set(asdict(found)) == set(NAMES)
        assert np.isfinite(list(asdict(found).values())).all()
        assert found.change > 0
