"""Work by blocks of rows gives what work on whole arrays gives."""

import numpy as np
import pytest

from lpclip.methods.adapters.blocks import blocks, unit_mean, zero_shot_logits
from lpclip.methods.adapters.neighbours import graph
from lpclip.methods.labelling.heads import softmax_in_place
from lpclip.utils import memory
from tests.helpers.pools import pool, zero_shot


@pytest.fixture(params=[1 << 24, 50, 1])
def block(request, monkeypatch):
    monkeypatch.setattr(memory, "BLOCK_BYTES", 4 * request.param)
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
