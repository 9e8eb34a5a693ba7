"""Noise: Gaussian, shot, impulse and speckle."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from lpclip.utils.rng import AliasTable, Stream, poisson_table

# Parameters of severities 1 to 5 per corruption and published set.
PARAMETERS: dict[str, dict[str, tuple[tuple[float, ...], ...]]] = {
    "gaussian_noise": {
        "imagenet": ((0.08,), (0.12,), (0.18,), (0.26,), (0.38,)),
        "cifar": ((0.04,), (0.06,), (0.08,), (0.09,), (0.10,)),
    },
    "shot_noise": {
        "imagenet": ((60,), (25,), (12,), (5,), (3,)),
        "cifar": ((500,), (250,), (100,), (75,), (50,)),
    },
    "impulse_noise": {
        "imagenet": ((0.03,), (0.06,), (0.09,), (0.17,), (0.27,)),
        "cifar": ((0.01,), (0.02,), (0.03,), (0.05,), (0.07,)),
    },
    "speckle_noise": {
        "imagenet": ((0.15,), (0.2,), (0.35,), (0.45,), (0.6,)),
        "cifar": ((0.06,), (0.1,), (0.12,), (0.16,), (0.2,)),
    },
}


def gaussian_noise(images: Tensor, p: tuple[float, ...], stream: Stream) -> Tensor:
    """Add normal noise; p: its standard deviation."""
    (scale,) = p
    return stream.normal(*images.shape[1:]).mul_(scale).add_(images)


def shot_noise(images: Tensor, p: tuple[float, ...], stream: Stream) -> Tensor:
    """Poisson noise of x * c photons, over c; p: c."""
    (photons,) = p
    levels = (images * 255).round_().long()
    counts = stream.pick(_photon_table(photons, images.device), levels)
    return counts.float().div_(photons)


def impulse_noise(images: Tensor, p: tuple[float, ...], stream: Stream) -> Tensor:
    """Set values to 0 or 1 with equal probability; p: the fraction of values, per channel."""
    (amount,) = p
    uniform = stream.uniform(*images.shape[1:])
    salt, pepper = (uniform < amount / 2).float(), (uniform < amount).float()
    return torch.maximum(images * (1 - pepper), salt)


def speckle_noise(images: Tensor, p: tuple[float, ...], stream: Stream) -> Tensor:
    """Add normal noise in proportion to the value; p: its standard deviation."""
    (scale,) = p
    return stream.normal(*images.shape[1:]).mul_(scale).add_(1).mul_(images)


@lru_cache(maxsize=16)
def _photon_table(photons: float, device: torch.device) -> AliasTable:
    return poisson_table([level / 255 * photons for level in range(256)]).to(device)
