"""Random views of unlabelled images: weak (small shift and crop) and strong (mixed chains).

Importing this module does not import torch: the workflow checks names before any job starts.

A plugin (``lpclip.utils.plugins``) that holds ``Settings`` and
``view(images, stream, settings) -> images`` adds a kind of view, which takes the place of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from annotated_types import Ge, Gt, Le

from lpclip.errors import LpclipError, check_known
from lpclip.utils import rng
from lpclip.utils.kinds import Kind
from lpclip.utils.plugins import PluginKinds
from lpclip.utils.settings import UNIQUE, Count, build, settings_class

if TYPE_CHECKING:
    from torch import Tensor

FLIPS: tuple[str, ...] = ("horizontal", "vertical")
Flips: TypeAlias = Annotated[Sequence[Literal["horizontal", "vertical"]], UNIQUE]

# Each operation of the strong views, and the corruptions that it resembles.
OPERATIONS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("rotate", "shear_x", "shear_y", "translate_x", "translate_y", "scale"), ()),
    **dict.fromkeys(("posterise", "solarise", "equalise", "erase"), ()),
    "noise": ("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"),
    "blur": ("gaussian_blur", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    "brightness": ("brightness",),
    "contrast": ("contrast", "fog"),
}
# "disjoint" shares no operation with the corruptions of the evaluation: a gain from training on the
# test corruptions would prove nothing. "overlapping" uses every operation.
POLICIES: Mapping[str, tuple[str, ...]] = {
    "disjoint": tuple(name for name, resembles in OPERATIONS.items() if not resembles),
    "overlapping": tuple(OPERATIONS),
}
_CHAINS, _DEPTH = 3, 3
VIEW_KINDS = PluginKinds("views", ("weak", "strong", *OPERATIONS))


class View(Kind):
    """A view that a plugin makes."""

    of = VIEW_KINDS


@settings_class
class Weak:
    """What the teacher labels: a small shift and crop."""

    versions: Count = 8
    """How many views of each image."""
    shift: Annotated[float, Ge(0), Le(0.5)] = 0.06
    """Largest move along each axis, as a fraction of the side."""
    smallest_crop: Annotated[float, Gt(0), Le(1)] = 0.9
    """The side of the part that is cut out is between this fraction of the side and all of it."""
    made_by: View | None = None
    """A plugin's kind of view and its settings, in place of what shift and smallest_crop say."""


@settings_class
class Strong:
    """What the student learns from: mixed chains of operations."""

    versions: Count = 8
    """How many views of each image."""
    policy: Literal["disjoint", "overlapping"] = "disjoint"
    """disjoint shares no operation with the corruptions of the evaluation; overlapping does, and
    reports note it."""
    made_by: View | None = None
    """A plugin's kind of view and its settings, in place of the policy; reports name the kind."""


SETTINGS: Mapping[str, type[Weak] | type[Strong]] = {"weak": Weak, "strong": Strong}


def weak(
    images: Tensor,
    keys: Tensor,
    *,
    shift: float = Weak.shift,
    smallest_crop: float = Weak.smallest_crop,
    flips: Sequence[str] = (),
) -> Tensor:
    """Crop a part of the image, shift it a little, resize it to the same size; same type and shape.

    Images are float32 [B, 3, H, W] in [0, 1], keys int64 [B] from `lpclip.utils.rng.keys`. The
    settings are those of `Weak`, flips of `FLIPS`; pixels outside repeat the border.
    """
    for flip in flips:
        check_known(flip, FLIPS, f"Unknown flip '{flip}'.")
    if len(images) == 0:
        return images.clone()
    import torch

    from lpclip.transforms.views.operations import warp

    stream = rng.Stream(keys)
    side = stream["crop"].uniform(low=smallest_crop, high=1.0)
    room = 1 - side + 2 * shift  # in half sides: a crop can move by 1 - side and by the shift
    move = stream["place"].uniform(2, low=-1.0, high=1.0) * room[:, None]
    across, down = (
        1 - 2 * stream[name].integers(high=2) if name in flips else torch.ones_like(keys)
        for name in FLIPS
    )
    zero = torch.zeros_like(side)
    rows = [side * across, zero, move[:, 0], zero, side * down, move[:, 1]]
    return warp(images, torch.stack(rows, dim=1))


def strong(
    images: Tensor, keys: Tensor, *, policy: str = Strong.policy, flips: Sequence[str] = ()
) -> Tensor:
    """Mix a weak view with three chains of operations on it, as in AugMix; same type and shape.

    view = (1 - m) x + m sum_k w_k chain_k(x), with w ~ Dirichlet(1, 1, 1) and m ~ Beta(1, 1);
    each chain applies 1 to 3 operations of the policy (Hendrycks et al. 2020).

    Args:
        images: float32 [B, 3, H, W] in [0, 1].
        keys: int64 [B], from `lpclip.utils.rng.keys`.
        policy: a name in `POLICIES`.
        flips: allowed flips, of `FLIPS`.
    """
    check_known(policy, POLICIES, f"Unknown policy '{policy}'.")
    stream = rng.Stream(keys)
    start = weak(images, stream["weak"].keys, flips=flips)
    if len(images) == 0:
        return start
    import torch

    from lpclip.transforms.views.operations import apply

    names = POLICIES[policy]
    chains = start.repeat(_CHAINS, 1, 1, 1)
    streams = rng.Stream(torch.cat([stream[f"chain {k}"].keys for k in range(_CHAINS)]))
    length = streams["length"].integers(low=1, high=_DEPTH + 1)
    choice = streams["choice"].integers(_DEPTH, high=len(names))
    for step in range(_DEPTH):
        chosen = choice[:, step].masked_fill(length <= step, -1)
        chains = apply(chains, names, chosen, streams[step])
    weight = stream["weights"].flat_dirichlet(_CHAINS).T[..., None, None, None]
    share = stream["share"].uniform()[:, None, None, None]
    parts = chains.reshape(_CHAINS, *images.shape)
    # Term by term: a sum over an axis may round differently with another batch.
    mixed = weight[0] * parts[0]
    for k in range(1, _CHAINS):
        mixed += weight[k] * parts[k]
    return ((1 - share) * start + share * mixed).clamp_(0, 1)


def by_plugin(images: Tensor, keys: Tensor, *, made_by: View) -> Tensor:
    """Make a view by a plugin's kind; same type and shape, cut to [0, 1].

    Images and keys are as in `weak`.

    Raises:
        LpclipError: no such kind, or one that gives something else than such images.
    """
    module = VIEW_KINDS.load(made_by.kind)
    settings = build(module.Settings, made_by.settings, where=f"view '{made_by.kind}'")
    made = module.view(images.clone(), rng.Stream(keys), settings)
    given = getattr(made, "shape", None), getattr(made, "dtype", None)
    if given != (images.shape, images.dtype) or not bool(made.isfinite().all()):
        raise LpclipError(
            f"The view '{made_by.kind}' gives no finite float32 images of the shape "
            f"{list(images.shape)} that it got."
        )
    cut: Tensor = made.clamp(0, 1)
    return cut
