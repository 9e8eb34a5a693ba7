"""ZLaP (Stojnić et al., CVPR 2024): labels spread from the texts over a graph of the images."""

from typing import Any

import numpy as np
from scipy import sparse

from lpclip.methods.adapters.blocks import blocks, unit_mean
from lpclip.methods.adapters.neighbours import graph
from lpclip.methods.labelling.neighbours import nearest
from lpclip.storage.stored_views import Views
from lpclip.storage.text import ZeroShotHead
from lpclip.types import FloatArray
from lpclip.utils.memory import Rows, Scratch, block_rows, empty_rows, slices

# Classes that are solved for together.
_CLASSES = 64


def zlap_probabilities(
    views: Views,
    head: ZeroShotHead,
    *,
    neighbours: int = 5,
    power: float = 5.0,
    alpha: float = 0.3,
    tolerance: float = 1e-6,
) -> Rows:
    """Return the classes that reach each image of the pool, as shares.

    Nodes are images and class texts; each image is linked to its nearest images and its nearest
    texts, by their cosine to a power. With S the adjacency matrix, made symmetric and normalised by
    the degrees, and Y one 1 for each text, (I - alpha S) Z = Y is solved.

    Args:
        views: unit-length features of the pool, ``[V, N, D]``; their mean is used.
        head: zero-shot; only the directions of its weights are used.
        neighbours: nearest images, and nearest texts, of each image.
        power: of the cosines; negative cosines are no link.
        alpha: share of what passes a link.
        tolerance: of conjugate gradients, relative to Y.

    Returns:
        Z of the images, each row divided by its sum, ``[N, C]`` float32; all classes alike where
        nothing reaches an image.
    """
    features = unit_mean(views)
    n, n_classes = len(features), len(head.weight)
    matrix = sparse.identity(n + n_classes, format="csr") - alpha * _adjacency(
        features, head.weight, neighbours, power
    )
    spread: Rows = empty_rows(n, n_classes)
    in_memory = isinstance(spread, np.ndarray)
    # In a file, classes are rows until all are known.
    of_classes: Rows = spread.T if isinstance(spread, np.ndarray) else Scratch(n_classes, n)
    for one in slices(n_classes, _CLASSES if in_memory else max(1, block_rows(8 * n) // 2)):
        classes = np.arange(one.start, one.stop)
        targets = np.zeros((n + n_classes, len(classes)))
        targets[n + classes, np.arange(len(classes))] = 1
        of_classes[one] = conjugate_gradients(matrix, targets, tolerance=tolerance)[:n].T
    for rows in blocks(n, n_classes):
        own = spread[rows] if isinstance(of_classes, np.ndarray) else of_classes.columns(rows).T
        part = np.maximum(own, 0)
        total = part.sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):
            spread[rows] = np.where(total > 0, part / total, 1 / n_classes)
    return spread


def _adjacency(features: Rows, text: FloatArray, neighbours: int, power: float) -> Any:
    """Return the symmetric, normalised adjacency matrix of images, then texts."""
    n, n_classes = len(features), len(text)
    index, cosines = nearest(features, neighbours)
    images = graph(index, np.maximum(cosines, 0) ** power, n)
    index, cosines = nearest(features, neighbours, among=text)
    texts = graph(index, np.maximum(cosines, 0) ** power, n_classes)
    one_way = sparse.bmat(
        [[images, texts], [None, sparse.csr_matrix((n_classes, n_classes))]], format="csr"
    ).astype(np.float64)
    links = one_way + one_way.T
    degree = np.asarray(links.sum(axis=1)).ravel()
    root = np.zeros_like(degree)
    root[degree > 0] = degree[degree > 0] ** -0.5
    return sparse.diags(root) @ links @ sparse.diags(root)


def conjugate_gradients(matrix: Any, targets: FloatArray, *, tolerance: float) -> FloatArray:
    """Solve ``matrix @ x = targets`` for a symmetric, positive matrix.

    Args:
        matrix: ``[M, M]``.
        targets: ``[M, K]``, each column for itself.
        tolerance: of the residual's length, relative to the column's.

    Returns:
        x, ``[M, K]``.
    """
    solution = np.zeros_like(targets)
    residual = targets.copy()
    direction = residual.copy()
    square = (residual**2).sum(axis=0)
    enough = tolerance**2 * square
    # In exact arithmetic, M steps suffice.
    for _ in range(len(targets)):
        if (square <= enough).all():
            break
        towards = matrix @ direction
        curvature = np.maximum((direction * towards).sum(axis=0), np.finfo(np.float64).tiny)
        length = square / curvature
        solution += length * direction
        residual -= length * towards
        before, square = square, (residual**2).sum(axis=0)
        direction *= square / np.maximum(before, np.finfo(np.float64).tiny)
        direction += residual
    return solution
