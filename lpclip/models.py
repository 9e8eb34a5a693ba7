"""CLIP models: built and loaded by open_clip, with what lpclip needs to know of them."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from typing import Any

import open_clip
import torch
from PIL.Image import Image
from torch import Tensor

from lpclip import tiny
from lpclip.errors import LpclipError, did_you_mean
from lpclip.model_spec import EMBEDDED, PRECOMPUTED, ModelSpec
from lpclip.tiny.weights import expand, read_compact


@dataclass(frozen=True)
class Model:
    """A loaded CLIP model, frozen, in float32.

    Attributes:
        spec: what was asked for.
        clip: the open_clip model.
        tokenizer: its tokenizer.
        to_pixels: PIL image -> float32 ``[3, H, W]`` in 0..1: open_clip's own preprocessing
            without the normalisation, which comes after views and corruptions.
        mean: per channel.
        std: per channel.
        preprocessing: open_clip's description of it, as JSON.
        scale: what the model multiplies cosines with.
        bias: what it adds to them (0 for most).
        weights: hash of all tensors, 16 hexadecimal digits.
        device: where it runs.
    """

    spec: ModelSpec
    clip: Any
    tokenizer: Any
    to_pixels: Callable[[Image], Tensor]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    preprocessing: str
    scale: float
    bias: float
    weights: str
    device: torch.device

    @torch.inference_mode()
    def embed(self, pixels: Tensor) -> Tensor:
        """Features ``[B, D]`` float32 of pixels ``[B, 3, H, W]`` in 0..1, not normalised."""
        mean = torch.tensor(self.mean, device=pixels.device).view(3, 1, 1)
        std = torch.tensor(self.std, device=pixels.device).view(3, 1, 1)
        features: Tensor = self.clip.encode_image((pixels - mean) / std)
        return features.float()

    @property
    def image_size(self) -> int:
        """Height of the images that the model takes, in pixels."""
        size = self.clip.visual.image_size
        return int(size if isinstance(size, int) else size[0])

    @property
    def width(self) -> int:
        """Numbers per feature."""
        return int(open_clip.get_model_config(self.spec.architecture)["embed_dim"])

    @property
    def provenance(self) -> dict[str, str | int | float]:
        """What a cache made with this model says about it."""
        return {
            "model": self.spec.name,
            "architecture": self.spec.architecture,
            "pretrained": self.spec.pretrained,
            "weights": self.weights,
            "preprocessing": self.preprocessing,
            "torch": version("torch"),
            "open_clip": version("open_clip_torch"),
        }


def load_model(spec: ModelSpec, *, device: str = "auto") -> Model:
    """Load a model for inference.

    Args:
        spec: which one.
        device: ``auto`` (a GPU where there is one), or a name that torch knows.

    Raises:
        LpclipError: unknown architecture or weights that cannot be had.
    """
    if spec.pretrained == PRECOMPUTED:
        raise LpclipError(
            f"Model '{spec.name}' is precomputed: only features that it made are at hand, and "
            "nothing can be embedded with it. Give its weights as 'pretrained'."
        )
    open_clip.add_model_config(tiny.CONFIG)
    if spec.architecture not in open_clip.list_models():
        raise LpclipError(
            f"Model '{spec.name}': open_clip has no architecture '{spec.architecture}'. "
            f"{did_you_mean(spec.architecture, open_clip.list_models())}"
        )
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    clip, preprocess = _create(spec)
    clip = clip.eval().requires_grad_(False)
    *to_pixels, normalise = preprocess.transforms
    bias = getattr(clip, "logit_bias", None)
    return Model(
        spec=spec,
        clip=clip.to(device),
        tokenizer=open_clip.get_tokenizer(spec.architecture),
        to_pixels=type(preprocess)(to_pixels),
        mean=tuple(map(float, normalise.mean)),
        std=tuple(map(float, normalise.std)),
        preprocessing=json.dumps(open_clip.get_model_preprocess_cfg(clip), sort_keys=True),
        scale=float(clip.logit_scale.exp()),
        bias=0.0 if bias is None else float(bias),
        weights=weights_hash(clip),
        device=torch.device(device),
    )


def weights_hash(module: torch.nn.Module) -> str:
    """Hash of names, types, shapes and bytes of all tensors, 16 hexadecimal digits."""
    digest = sha256()
    for name, tensor in sorted(module.state_dict().items()):
        array = tensor.detach().cpu().contiguous()
        digest.update(f"{name}\0{array.dtype}\0{tuple(array.shape)}\0".encode())
        digest.update(array.view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def _create(spec: ModelSpec) -> tuple[Any, Any]:
    embedded = spec.pretrained == EMBEDDED
    if embedded and spec.architecture != tiny.ARCHITECTURE:
        raise LpclipError(
            f"Model '{spec.name}': only {tiny.ARCHITECTURE} has embedded weights; "
            f"give a pretrained tag or a checkpoint for {spec.architecture}."
        )
    try:
        with _quiet_root_logger():
            clip, _, preprocess = open_clip.create_model_and_transforms(
                spec.architecture,
                pretrained=None if embedded else spec.pretrained,
                force_quick_gelu=spec.force_quick_gelu,
            )
    except Exception as error:
        # open_clip and the hub raise many kinds; all of them mean that the weights are not there.
        raise LpclipError(
            f"Model '{spec.name}': the weights '{spec.pretrained}' of {spec.architecture} cannot "
            f"be loaded ({' '.join(str(error).split())[:300]}). Give a pretrained tag of open_clip "
            "(needs a network or a filled hub cache) or the path of a checkpoint."
        ) from error
    if embedded:
        tensors, _ = read_compact()
        clip.load_state_dict(expand(tensors))
    return clip, preprocess


class _quiet_root_logger:  # noqa: N801 - reads as a function
    """Silences open_clip's warning that a model without a checkpoint starts at random."""

    def __enter__(self) -> None:
        self._level = logging.root.level
        logging.root.setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        logging.root.setLevel(self._level)
