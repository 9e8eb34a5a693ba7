"""Pseudo-labels of an unlabelled set."""

from dataclasses import dataclass

from lpclip.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class PseudoLabels:
    """Targets for N samples; leading axes (seeds) are allowed.

    Attributes:
        probabilities: ``[..., N, C]`` float32, after the prior.
        class_index: ``[..., N]`` int32, the most probable class.
        confidence: ``[..., N]`` float32, its probability.
        selected: ``[..., N]``, which samples are sure enough to learn from.
    """

    probabilities: FloatArray
    class_index: IntArray
    confidence: FloatArray
    selected: BoolArray

    def of_seed(self, column: int) -> "PseudoLabels":
        """Those of one place of the leading axis."""
        return PseudoLabels(
            self.probabilities[column],
            self.class_index[column],
            self.confidence[column],
            self.selected[column],
        )
