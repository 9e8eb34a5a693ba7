"""Parts of the configuration that are of kinds which plugins alone add."""

from lpclip.evaluation.ood_scores import SCORE_KINDS
from lpclip.transforms.corruptions.registry import CORRUPTION_KINDS
from lpclip.utils.kinds import Kind


class Corruption(Kind):
    """A corruption of test images."""

    of = CORRUPTION_KINDS


class Score(Kind):
    """A score for the detection of OOD images."""

    of = SCORE_KINDS
