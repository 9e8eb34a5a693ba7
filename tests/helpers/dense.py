"""What the package computes block by block, on whole arrays."""

from scipy.special import softmax


def mean_prediction(logits):
    """Return the mean of the softmax of logits ``[V, ..., N, C]`` over V: ``[..., N, C]``."""
    return softmax(logits, axis=-1).mean(axis=0)
