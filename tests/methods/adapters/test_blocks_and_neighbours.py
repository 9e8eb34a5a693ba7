"""Work by blocks of rows gives what work on whole arrays gives."""

import numpy as np
import pytest

from lpclip.methods.adapters.blocks import blocks, unit_mean, zero_shot_logits
from lpclip.methods.adapters.neighbours import graph, nearest
from lpclip.methods.labelling import heads
from lpclip.methods.labelling.heads import softmax_in_place
from tests.helpers.pools import pool, zero_shot


@pytest.fixture(params=[1 << 24, 50, 1])
def block(request, monkeypatch):
    monkeypatch.setattr(heads, "BLOCK_BYTES", 4 * request.param)
    return request.param


@pytest.mark.usefixtures("block")
def test_blocks_cover_every_row_once():
    rows = [number for part in blocks(37, 5) for number in range(37)[part]]
    assert rows == list(range(37))


def test_a_block_holds_no_more_numbers_than_allowed(block):
    assert all((part.stop - part.start) * 5 <= max(block, 5) for part in blocks(37, 5))


@pytest.mark.usefixtures("block")
def test_predictions_are_those_of_each_image_alone():
    features, _, head = pool()
    found = softmax_in_place(zero_shot_logits(features, head))
    np.testing.assert_allclose(found, zero_shot(features, head), atol=1e-5)


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("k", [1, 3, 100])
def test_neighbours_are_the_nearest_others_of_each_image(k):
    features, _, _ = pool()
    index, cosine = nearest(features, k)
    for own, x in enumerate(features):
        others = sorted((-float(x @ y), other) for other, y in enumerate(features) if other != own)
        expected = others[:k]
        assert index[own].tolist() == [other for _, other in expected]
        np.testing.assert_allclose(cosine[own], [-value for value, _ in expected], atol=1e-6)


@pytest.mark.usefixtures("block")
def test_neighbours_among_other_rows_may_be_any_of_them():
    features, _, head = pool()
    index, cosine = nearest(features, 1, among=head.weight)
    np.testing.assert_array_equal(index[:, 0], (features @ head.weight.T).argmax(axis=1))
    np.testing.assert_allclose(cosine[:, 0], (features @ head.weight.T).max(axis=1), atol=1e-6)


def test_a_single_image_has_no_neighbour():
    features, _, _ = pool(n=1)
    index, cosine = nearest(features, 3)
    assert index.shape == cosine.shape == (1, 0)
    assert graph(index, cosine, 1).nnz == 0


def test_a_graph_has_the_weight_of_every_edge():
    index, weights = np.array([[1, 2], [0, 2], [1, 0]]), np.arange(6.0).reshape(3, 2)
    dense = np.zeros((3, 4))
    for row in range(3):
        dense[row, index[row]] = weights[row]
    np.testing.assert_array_equal(graph(index, weights, 4).toarray(), dense)


def test_the_mean_has_unit_length_and_one_version_stays_as_it_is():
    features, _, _ = pool()
    other, _, _ = pool(seed=1)
    mean = unit_mean(np.stack([features, other]))
    np.testing.assert_allclose(np.linalg.norm(mean, axis=1), 1, atol=1e-6)
    total = features + other
    np.testing.assert_allclose(mean * np.linalg.norm(total, axis=1)[:, None], total, atol=1e-6)
    np.testing.assert_array_equal(unit_mean(features[None]), features)
