"""InMaP (Qian et al., NeurIPS 2023): proxies of the classes among the images themselves."""

from typing import Literal, TypeAlias

import numpy as np

from lpclip.methods.adapters.blocks import (
    blocks,
    logits_in_memory,
    logits_of,
    softmax,
    unit_mean,
)
from lpclip.methods.labelling.heads import softmax_in_place
from lpclip.storage.features import normalise
from lpclip.storage.stored_views import Views
from lpclip.storage.text import ZeroShotHead
from lpclip.types import FloatArray
from lpclip.utils.memory import Rows, parts

ProxyPrior: TypeAlias = Literal["none", "sinkhorn"]
TEXT_TEMPERATURE, STUDENT_TEMPERATURE = 0.01, 0.04
SINKHORN_STEPS = 20
LEARNING_RATE = 10.0


def inmap_head(
    views: Views,
    head: ZeroShotHead,
    *,
    prior: ProxyPrior = "sinkhorn",
    threshold: float = 0.6,
    steps: int = 2000,
) -> tuple[FloatArray, FloatArray]:
    """Return InMaP's proxies as a linear head.

    Unit-length proxies W, which start at the text features, learn zero-shot's labels Y, the
    cosines' softmax at temperature 0.01: the cross-entropy of softmax(X W^T / 0.04) is minimised by
    full-batch gradient steps at a rate of 10, which is halved whenever the gradient has grown.

    Args:
        views: unit-length features of the pool, ``[V, N, D]``; their mean is used.
        head: zero-shot; only the directions of its weights are used.
        prior: sinkhorn makes classes equally frequent among the labels; none does not.
        threshold: labels that are surer than this become one class for certain.
        steps: gradient steps.

    Returns:
        Weight ``[C, D]`` and bias ``[C]``, float32, for the scale of ``head``; the softmax is that
        of the proxies at temperature 0.04.
    """
    features = unit_mean(views)
    labels = pseudo_labels(features, head.weight, prior=prior, threshold=threshold)
    proxies = learn_proxies(features, labels, head.weight, steps=steps)
    weight = proxies / (STUDENT_TEMPERATURE * head.scale)
    return weight.astype(np.float32), np.zeros(len(weight), dtype=np.float32)


def pseudo_labels(features: Rows, text: FloatArray, *, prior: ProxyPrior, threshold: float) -> Rows:
    """Return what the proxies learn, ``[N, C]`` float32."""
    labels = softmax(logits_of(features, text, 0.0, scale=1 / TEXT_TEMPERATURE))
    n, n_classes = labels.shape
    for _ in range(SINKHORN_STEPS if prior == "sinkhorn" else 0):
        total: FloatArray = sum(part.sum(axis=0, dtype=np.float64) for _, part in parts(labels))
        share = total * n_classes / n
        factor = (1 / np.maximum(share, np.finfo(np.float32).tiny)).astype(np.float32)
        for rows in blocks(n, n_classes):
            part = labels[rows]
            part *= factor
            part /= part.sum(axis=1, keepdims=True)
            labels[rows] = part
    for rows in blocks(n, n_classes):
        part = labels[rows]
        sure = np.flatnonzero(part.max(axis=1) > threshold)
        best = part[sure].argmax(axis=1)
        part[sure] = 0
        part[sure, best] = 1
        labels[rows] = part
    return labels


def learn_proxies(features: Rows, labels: Rows, text: FloatArray, *, steps: int) -> FloatArray:
    """Return proxies ``[C, D]``, unit length, after so many gradient steps from the text."""
    proxies = text.astype(np.float32)
    rate, before = LEARNING_RATE, np.inf
    for _ in range(steps):
        gradient = _gradient(features, labels, proxies)
        size = float(np.linalg.norm(gradient))
        if size > before:
            rate /= 2
        before = size
        proxies, last = normalise(proxies - np.float32(rate) * gradient), proxies
        if np.array_equal(proxies, last):  # so small a rate that no further step can matter
            break
    return proxies


def _gradient(features: Rows, labels: Rows, proxies: FloatArray) -> FloatArray:
    gradient = np.zeros_like(proxies)
    for rows in blocks(*labels.shape):
        scale = 1 / STUDENT_TEMPERATURE
        predicted = softmax_in_place(logits_in_memory(features[rows], proxies, 0.0, scale=scale))
        predicted -= labels[rows]
        gradient += predicted.T @ features[rows]
    gradient /= len(features) * STUDENT_TEMPERATURE
    return gradient
