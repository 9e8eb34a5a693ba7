"""Settings of a labelling: how a teacher's predictions become pseudo-labels."""

from typing import Literal, TypeAlias

from lpclip.utils.settings import CountOrZero, NotNegative, Positive, Share, settings_class

TeacherView: TypeAlias = Literal["weak", "clean"]
Prior: TypeAlias = Literal["none", "align", "sinkhorn", "auto"]


@settings_class
class Labelling:
    """How a teacher's predictions become pseudo-labels."""

    classes: Literal["supported", "all"] = "supported"
    """supported learns the classes that the unlabelled set has images of, as far as neighbours
    confirm them; the others keep what zero-shot gives them. all takes images of every class for
    granted."""
    images: Literal["in_distribution", "all"] = "in_distribution"
    """in_distribution leaves images out of labels, prior, structure and training that are probably
    of none of the classes; all takes them in."""
    labels: Literal["hard", "soft"] = "hard"
    """hard learns the most probable class, soft the distribution over classes."""
    temperature: Positive | Literal["auto"] = "auto"
    """Divides the logits before the softmax; auto makes the mean confidence the agreement of
    neighbours, so that thresholds mean the same for every model."""
    structure: NotNegative = 0.6
    """Weight of the log-likelihoods of Gaussian classes, fitted to the features and predictions,
    that are added to the logits, for many images per class; it falls to half for 16 and to a fifth
    for 4. 0 leaves them out."""
    prior: Prior = "auto"
    """auto aligns the predictions to estimated class frequencies; none leaves them as they are;
    align (divide by the mean prediction of each class) and sinkhorn (the same share of the samples
    for every class) assume that all classes are equally frequent."""
    prior_radius: NotNegative = 0.35
    """Of auto: how far the estimated frequencies may be from the predicted ones, in total variation
    per share of errors."""
    threshold: Share = 0.5
    """Pseudo-labels of at least this confidence are learned; 0 learns all."""
    class_floor: Share = 0.3
    """The most confident share of each predicted class, learned whatever the threshold, so that
    hard classes are not lost."""
    top_k: CountOrZero = 0
    """Learn no more than the k most confident samples of each predicted class; 0 learns all."""
