"""The 15 + 4 common corruptions, batched and seeded per sample: names, families and `corrupt`.

Formulas and parameters: Hendrycks and Dietterich 2019, "Benchmarking Neural Network Robustness to
Common Corruptions and Perturbations", and the authors' published scripts for ImageNet-C
(224-pixel images, "imagenet") and CIFAR-10-C (32-pixel images, "cifar").

Importing this module imports no torch: the workflow reads the names before any job starts.

A plugin (``lpclip.utils.plugins``) that holds ``Settings`` and
``corrupt(images, severity, stream, settings) -> images`` adds a kind of corruption.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from annotated_types import MinLen

from lpclip.corruption_names import EXTRA, FAMILIES, OTHER, SEVERITIES, STANDARD, family_of
from lpclip.errors import LpclipError, check_known, did_you_mean
from lpclip.utils.plugins import PluginKinds
from lpclip.utils.settings import UNIQUE, build, call, settings_class

if TYPE_CHECKING:
    from torch import Tensor

# These functions take and return levels of 8 bits; the others single precision, 0 to 1.
ON_LEVELS: tuple[str, ...] = ("pixelate", "jpeg_compression")
PARAMETER_SETS: tuple[str, ...] = ("imagenet", "cifar")
CORRUPTION_KINDS = PluginKinds("corruptions", (*FAMILIES, *STANDARD, *EXTRA))


@settings_class
class Corruptions:
    """The common corruptions, generated in memory."""

    severities: Annotated[Sequence[Literal[1, 2, 3, 4, 5]], MinLen(1), UNIQUE] = (1, 2, 3, 4, 5)
    """Which severities are made."""
    parameters: Literal["auto", "cifar", "imagenet"] = "auto"
    """Which published parameters: cifar for 32-pixel images, imagenet for 224-pixel ones; auto
    follows the size of the model's images."""
    frost_images: str | None = None
    """Folder with photographs of frost, PNG or JPEG; procedural pictures where absent. Of the
    published six (frost1.png to frost6.jpg) the first five are used, as by the published script; of
    other folders all are. A picture that does not cover the images is resized to 1.1 times the size
    that does."""


class OfPlugin(NamedTuple):
    """A corruption of a plugin."""

    kind: str
    settings: Any
    severities: Sequence[int]


def checked_settings(name: str, given: Mapping[str, Any], *, where: str) -> Corruptions | OfPlugin:
    """Return the settings of a corruption; a plugin's has ``kind``, ``settings``, ``severities``.

    Raises:
        LpclipError: an unknown corruption, or settings that it does not have.
    """
    if "kind" not in given:
        check_known(name, STANDARD + EXTRA, f"Unknown corruption '{name}'.")
        return build(Corruptions, given, where=where)
    call(OfPlugin, given, where=where)
    found = build(Corruptions, {"severities": given["severities"]}, where=where)
    known = CORRUPTION_KINDS.load(given["kind"]).Settings
    return OfPlugin(given["kind"], build(known, given["settings"], where=where), found.severities)


# Bytes per piece of a batch on a CPU, so that temporaries stay in its second-level cache.
_PIECE = 2**20


def corrupt(
    images: Tensor,
    *,
    name: str,
    severity: int,
    keys: Tensor,
    parameters: str,
    frost_images: Path | None = None,
) -> Tensor:
    """Corrupt a batch of images.

    The published sets start from 8-bit images and are stored with 8 bits: the input is rounded
    to the nearest of 256 levels, and the result is rounded down, as the reference
    does. Sample i of the result depends on image i and key i alone.

    Args:
        images: [B, 3, H, W], RGB, on any device: uint8, or float32 in [0, 1].
        name: a corruption of `STANDARD` or `EXTRA`.
        severity: 1..5.
        keys: int64 [B], from `lpclip.utils.rng.keys(seed, ids, f"{name}/{severity}")`.
        parameters: "imagenet" (published for 224-pixel images) or "cifar" (for 32-pixel ones).
        frost_images: folder of photographs of frost; without it, frost is a procedural texture.

    Returns:
        [B, 3, H, W], the images' type: uint8, or float32 in multiples of 1/255.

    Raises:
        LpclipError: unknown name, severity or parameter set; unusable `frost_images`.
    """
    function, numbers = _look_up(name, severity, parameters)
    if images.ndim != 4 or images.shape[1] != 3 or len(keys) != len(images):
        raise LpclipError(
            f"corrupt expects images [B, 3, H, W] and keys [B], "
            f"not {list(images.shape)} and {list(keys.shape)}."
        )
    import torch

    from lpclip.utils.rng import Stream

    options = {"folder": frost_images} if name == "frost" else {}
    stream = Stream(keys.to(images.device))
    piece = max(len(images), 1)
    if images.device.type == "cpu":
        size = images[:1].numel() * (1 if name in ON_LEVELS else 4)
        piece = max(1, _PIECE // max(size, 1))
    result = torch.empty_like(images)
    for start in range(0, len(images), piece):
        part = slice(start, start + piece)
        levels = _levels(images[part])
        clean = levels.byte() if name in ON_LEVELS else levels.float().div_(255)
        dirty = function(clean, numbers, Stream(stream.keys[part]), **options)
        if name not in ON_LEVELS:
            dirty = _rounded_down(dirty)
        if images.dtype == torch.uint8:
            result[part] = dirty
        else:
            torch.div(dirty, 255, out=result[part])
    return result


def corrupt_by(images: Tensor, *, kind: str, settings: Any, severity: int, keys: Tensor) -> Tensor:
    """Corrupt a batch of images by a plugin's kind; rounding, shapes and types as in ``corrupt``.

    Args:
        images: [B, 3, H, W], RGB: uint8, or float32 in [0, 1].
        kind: a kind that a plugin adds.
        settings: of its class of settings.
        severity: 1..5.
        keys: int64 [B], from `lpclip.utils.rng.keys(seed, ids, f"{name}/{severity}")`.

    Raises:
        LpclipError: no such kind, or one that gives something else than such images.
    """
    import torch

    from lpclip.utils.rng import Stream

    module = CORRUPTION_KINDS.load(kind)
    clean = _levels(images).float().div(255)
    dirty = module.corrupt(clean.clone(), severity, Stream(keys.to(images.device)), settings)
    given = getattr(dirty, "shape", None), getattr(dirty, "dtype", None)
    if given != (clean.shape, clean.dtype) or not bool(dirty.isfinite().all()):
        raise LpclipError(
            f"The corruption '{kind}' gives no finite float32 images of the shape "
            f"{list(clean.shape)} that it got."
        )
    levels: Tensor = _rounded_down(dirty)
    return levels.byte() if images.dtype == torch.uint8 else levels.div_(255)


def _levels(images: Tensor) -> Tensor:
    """Return the nearest of 256 levels, uint8 or float32."""
    if not images.dtype.is_floating_point:
        return images
    return (images * 255).round_().clamp_(0, 255)


def _rounded_down(images: Tensor) -> Tensor:
    """Return levels of images in [0, 1]; the small step keeps whole ones that are a bit too low."""
    return images.clamp(0, 1).mul_(255).add_(1e-3).floor_()


def _look_up(name: str, severity: int, parameters: str) -> tuple[Any, tuple[float, ...]]:
    family = family_of(name)
    if family == OTHER:
        raise LpclipError(f"Unknown corruption '{name}'. {did_you_mean(name, STANDARD + EXTRA)}")
    if severity not in SEVERITIES:
        raise LpclipError(f"Severity {severity} of '{name}' does not exist. Available: 1 to 5.")
    check_known(parameters, PARAMETER_SETS, f"Unknown corruption parameters '{parameters}'.")
    module = import_module(f"lpclip.transforms.corruptions.{family}")
    return getattr(module, name), module.PARAMETERS[name][parameters][severity - 1]
