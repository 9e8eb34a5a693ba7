"""Nearest neighbours are exact, whatever the blocks."""

import numpy as np
import pytest

from lpclip.methods.adapters.neighbours import graph
from lpclip.methods.labelling.neighbours import nearest
from lpclip.utils import memory
from tests.helpers.pools import pool


@pytest.fixture(params=[1 << 24, 50, 1])
def block(request, monkeypatch):
    monkeypatch.setattr(memory, "BLOCK_BYTES", 12 * request.param)
    return request.param


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


@pytest.mark.usefixtures("block")
def test_a_row_is_not_its_own_neighbour_where_its_place_is_given():
    features, _, _ = pool()
    rows = np.arange(0, len(features), 2)
    own = np.full(len(features), -1)
    own[rows] = np.arange(len(rows))
    index, _ = nearest(features, 3, among=features[rows], own=own)
    for place, x in enumerate(features):
        others = [row for row in rows if row != place]
        expected = sorted(others, key=lambda row: -float(x @ features[row]))[:3]
        assert rows[index[place]].tolist() == expected


def test_a_single_image_has_no_neighbour():
    features, _, _ = pool(n=1)
    index, cosine = nearest(features, 3)
    assert index.shape == cosine.shape == (1, 0)
    assert graph(index, cosine, 1).nnz == 0
