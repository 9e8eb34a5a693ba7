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

    def of_seed(self, seed_index: int) -> "PseudoLabels":
        """Those of one place of the leading axis."""
        return PseudoLabels(
            self.probabilities[seed_index],
            self.class_index[seed_index],
            self.confidence[seed_index],
            self.selected[seed_index],
        )
