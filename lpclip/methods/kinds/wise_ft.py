"""WiSE-FT: weights part of the way from zero-shot to a trained head (Wortsman et al. 2022)."""

from collections.abc import Sequence

from lpclip.methods.base import Inputs
from lpclip.methods.training.from_probes import change_last, read_base
from lpclip.storage.probes import Probes, between
from lpclip.storage.text import ZeroShotHead
from lpclip.utils.settings import Share, settings_class

NEEDS: tuple[str, ...] = ("probes",)


@settings_class
class Settings:
    """What is interpolated."""

    method: str
    """The method whose last probes are the other end of the interpolation."""
    alpha: Share = 0.5
    """0 is zero-shot, 1 the other method's probe. It is not chosen by any label."""


def fit(head: ZeroShotHead, inputs: Inputs, settings: Settings, seeds: Sequence[int]) -> Probes:
    """Interpolate the head, or each member, as round 1; round 0 is the zero-shot head."""
    base = read_base(head, inputs, settings.method, seeds)
    weight, bias = base.last()
    weight = between(base.weight[0, 0], weight, settings.alpha)
    bias = between(base.bias[0, 0], bias, settings.alpha)
    return change_last(head, base, weight, bias, seen=base.labels_seen)
