"""Which model: what a configuration says of one, without anything that could load it."""

from dataclasses import dataclass

EMBEDDED = "embedded"
PRECOMPUTED = "precomputed"


@dataclass(frozen=True)
class ModelSpec:
    """Which model to load, or which one made features that are there already.

    Attributes:
        name: its name in the configuration and in the paths of its caches.
        architecture: a name that open_clip knows, or ``lpclip-tiny``; any text for ``precomputed``.
        pretrained: a pretrained tag of open_clip, the path of a checkpoint, ``embedded`` for
            the weights that come with lpclip, or ``precomputed``: the weights are not at hand,
            only features that they made.
        force_quick_gelu: needed for OpenAI weights in a local file.
        scale: what a precomputed model multiplies cosines with; None: that of an lpclip text
            cache, else 100, as of every CLIP model of OpenAI's.
        bias: what it adds to them; None: that of an lpclip text cache, else 0.
        weights: hash of the weights that made precomputed features, where it is known; lpclip
            caches have to agree.
    """

    name: str
    architecture: str
    pretrained: str
    force_quick_gelu: bool = False
    scale: float | None = None
    bias: float | None = None
    weights: str | None = None
