"""LAME (Boudiaf et al., CVPR 2022): predictions that agree among neighbours."""

import numpy as np

from lpclip.methods.adapters.blocks import blocks, softmax, unit_mean, zero_shot_logits
from lpclip.methods.adapters.neighbours import graph, product
from lpclip.methods.labelling.heads import softmax_in_place
from lpclip.methods.labelling.neighbours import nearest
from lpclip.storage.stored_views import Views
from lpclip.storage.text import ZeroShotHead
from lpclip.utils.memory import Rows, empty_rows, parts

# Below it, a probability counts as this.
_SMALLEST = 1e-10


def lame_probabilities(
    views: Views, head: ZeroShotHead, *, neighbours: int = 5, steps: int = 100
) -> Rows:
    """Return LAME's assignments of the pool's images.

    Minimises sum_i KL(z_i || y_i) - sum_ij w_ij z_i . z_j, y zero-shot's predictions and w_ij = 1
    for the nearest neighbours j of image i, by its concave-convex procedure:
    z_i ∝ y_i exp(sum_j w_ij z_j).

    Args:
        views: unit-length features of the pool, ``[V, N, D]``; their mean is used.
        head: zero-shot.
        neighbours: of each image.
        steps: at most so many updates; fewer once no probability changes by more than 1e-6.

    Returns:
        Probabilities ``[N, C]`` float32.
    """
    features = unit_mean(views)
    assigned = softmax(zero_shot_logits(features, head))
    own: Rows = empty_rows(*assigned.shape)
    for rows, part in parts(assigned):
        own[rows] = np.log(part + np.float32(_SMALLEST))
    index, cosines = nearest(features, neighbours)
    links = graph(index, np.ones_like(cosines), len(features))
    for _ in range(steps):
        updated: Rows = empty_rows(*own.shape)
        change = 0.0
        for rows in blocks(*own.shape):
            part = softmax_in_place(own[rows] + product(links[rows], assigned))
            updated[rows] = part
            change = max(change, float(np.abs(part - assigned[rows]).max()))
        assigned = updated
        if change <= 1e-6:
            break
    return assigned
