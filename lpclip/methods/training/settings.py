"""Settings of training a linear layer, which several kinds of method share."""

from typing import Annotated

from annotated_types import Gt, Lt

from lpclip.utils.settings import Count, CountOrZero, NotNegative, Positive, settings_class


@settings_class
class Optimisation:
    """How a linear layer is trained."""

    epochs: Count = 20
    """Passes over all views of the samples that are learned, at most."""
    batch_size: Count = 256
    """Views per step."""
    learning_rate: Positive = 0.0003
    """Learning rate of Adam."""
    weight_decay: NotNegative = 0.0
    """Decoupled weight decay, of weights and biases."""
    anchor: NotNegative = 0.0
    """Strength of the pull towards the zero-shot weights: anchor / 2 times the squared distance is
    added to the loss."""
    patience: CountOrZero = 0
    """Stop a seed after this many passes without a lower loss on held-out samples, and keep its
    best pass; 0 trains all passes."""
    held_out: Annotated[float, Gt(0), Lt(1)] = 0.1
    """Share of the samples that are held out to measure this loss on."""
