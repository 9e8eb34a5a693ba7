"""CLIP models, built and loaded by open_clip, with their preprocessing and provenance."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from importlib.metadata import version
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.model import convert_weights_to_lp
from PIL.Image import Image
from torch import Tensor

from lpclip.errors import LpclipError, check_known
from lpclip.models import tiny
from lpclip.models.hub import tokenizer
from lpclip.models.malloc import keep_freed_memory
from lpclip.models.resampling import Resampling, resampling_of
from lpclip.models.spec import EMBEDDED, FOLDER, HUB, PRECOMPUTED, ModelSpec
from lpclip.models.tiny.weights import expand, read_compact
from lpclip.models.weights import create, quiet
from lpclip.types import FloatArray
from lpclip.utils.device import device_named, occupy
from lpclip.utils.gpu_lease import Lease

# Bytes of all tensors alive at once, per value of the images (three per pixel), in the largest of
# the usual encoders, convnext_base in single precision; making views takes less.
BYTES_PER_VALUE = 130

_LOW = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Model:
    """A loaded CLIP model, frozen. Text is always encoded in float32.

    Attributes:
        to_pixels: PIL image -> float32 ``[3, H, W]`` in 0..1: open_clip's own preprocessing
            without the normalisation, which comes after views and corruptions.
    """

    spec: ModelSpec
    clip: Any  # of open_clip
    encode_image: Callable[[Tensor], Tensor]  # compiled or not
    to_pixels: Any
    mean: tuple[float, ...]
    std: tuple[float, ...]
    preprocessing: str  # described by open_clip, as JSON
    scale: float  # of the cosines
    bias: float  # of the logits
    weights: str  # hash of all tensors, 16 hexadecimal digits
    device: torch.device
    precision: str  # of the image encoder: fp32, bf16 or fp16
    lease: Lease | None = field(default=None, repr=False)  # of a GPU

    def embed(self, pixels: Tensor) -> Tensor:
        """Embed pixels ``[B, 3, H, W]``, uint8 or float32 in 0..1: ``[B, D]`` float32.

        The features are not normalised; LpclipError if they overflow in the precision.
        """
        features = self.features(pixels)
        self.check(features)
        return features

    @torch.inference_mode()
    def features(self, pixels: Tensor) -> Tensor:
        """As ``embed``, but unchecked and without waiting for a GPU."""
        if pixels.dtype == torch.uint8:
            pixels = pixels.float().div_(255)
        mean, std = self._normalisation
        low = _LOW.get(self.precision)
        with torch.autocast(self.device.type, dtype=low, enabled=low is not None):
            features = self.encode_image((pixels - mean) / std)
        return features.float()

    def check(self, features: Tensor | FloatArray) -> None:
        """Refuse features that are not finite; errors as in ``embed``."""
        finite = features.isfinite() if isinstance(features, Tensor) else np.isfinite(features)
        if not finite.all():
            raise LpclipError(
                f"Model '{self.spec.name}' gives features that are not finite in precision "
                f"{self.precision}. Set its precision to bf16 or fp32."
            )

    @property
    def prepare(self) -> Callable[[Image], Image]:
        """``to_pixels`` without its last step: returns a PIL image of the model's size."""
        *steps, _ = self.to_pixels.transforms
        prepare: Callable[[Image], Image] = type(self.to_pixels)(steps)
        return prepare

    @property
    def resampling(self) -> Resampling | None:
        """``prepare`` for images on a device; None if only Pillow can do it."""
        return resampling_of(self.to_pixels.transforms)

    @cached_property
    def _normalisation(self) -> tuple[Tensor, Tensor]:
        both = torch.tensor((self.mean, self.std), device=self.device)
        return both[0].view(3, 1, 1), both[1].view(3, 1, 1)

    @cached_property
    def tokenizer(self) -> Any:
        """The model's tokenizer, loaded on first use: images need none."""
        return tokenizer(self.spec)

    @property
    def image_size(self) -> int:
        """Height of the images that the model takes, in pixels."""
        size = self.clip.visual.image_size
        return int(size if isinstance(size, int) else size[0])

    @property
    def width(self) -> int:
        """Dimension of the features."""
        size = self.clip.visual.image_size
        height, width = (size, size) if isinstance(size, int) else size
        return self.embed(torch.zeros(1, 3, height, width, device=self.device)).shape[1]

    @property
    def provenance(self) -> dict[str, str | int | float]:
        """Provenance of caches that are made with this model."""
        return {
            "model": self.spec.name,
            "architecture": self.spec.architecture,
            "pretrained": self.spec.pretrained,
            "weights": self.weights,
            "preprocessing": self.preprocessing,
            "precision": self.precision,
            "force_quick_gelu": int(bool(self.spec.force_quick_gelu)),
            "force_image_size": self.spec.image_size or 0,
            "torch": version("torch"),
            "open_clip": version("open_clip_torch"),
        }


def load_model(spec: ModelSpec, *, device: str = "auto", batch_size: int = 64) -> Model:
    """Load a model for inference; on a CPU, the process then keeps freed memory.

    On a GPU, the process leases the device as long as the model, or a copy of it, exists
    (``lpclip.utils.gpu_lease``); further models of the process share it.

    Args:
        spec: the model.
        device: ``auto``, a GPU if available; or a device name of torch. ``auto`` and ``cuda``
            choose a GPU that no other process of lpclip uses, if there is one.
        batch_size: images that are to fit on that GPU at once; if one does, it will do.

    Raises:
        LpclipError: unknown architecture, unavailable or wrong weights, or an unavailable device;
            a GPU without memory for one image, before weights are moved there.
    """
    if spec.pretrained == PRECOMPUTED:
        raise LpclipError(
            f"Model '{spec.name}' is precomputed: only its features are available, and "
            "nothing can be embedded with it. Give its weights as 'pretrained'."
        )
    open_clip.add_model_config(tiny.CONFIG)
    if not spec.architecture.startswith((HUB, FOLDER)):
        problem = f"Model '{spec.name}': open_clip has no architecture '{spec.architecture}'."
        check_known(spec.architecture, open_clip.list_models(), problem)
    subject = f"Model '{spec.name}'"
    named = device_named(device, what=subject)
    clip, preprocess = _create(spec)
    clip = clip.eval().requires_grad_(False)
    *to_pixels, normalise = preprocess.transforms
    bias = getattr(clip, "logit_bias", None)
    weights, precision = weights_hash(clip), _precision(spec, named)
    if precision in _LOW:
        # Done once instead of by autocast in every batch: the features are the same.
        convert_weights_to_lp(clip.visual, _LOW[precision])
    of_weights, of_image = _memory(clip)
    place, lease = occupy(
        named,
        needed=of_weights + of_image,
        wanted=of_weights + batch_size * of_image,
        what=subject,
        remedy="set device: cpu",
    )
    try:
        clip = clip.to(place)
    except torch.OutOfMemoryError as error:
        raise LpclipError(
            f"{subject}: another program took the memory of {place} while the model was loaded. "
            "Start again, or set device: cpu."
        ) from error
    if place.type == "cpu":
        keep_freed_memory()
    # ResNets are up to 1.3 times faster with channels last, other models equally fast.
    clip.visual.to(memory_format=torch.channels_last)
    encode = clip.encode_image
    return Model(
        spec=spec,
        clip=clip,
        encode_image=_compiled(encode) if spec.compile else encode,
        to_pixels=type(preprocess)(to_pixels),
        mean=tuple(map(float, normalise.mean)),
        std=tuple(map(float, normalise.std)),
        preprocessing=json.dumps(open_clip.get_model_preprocess_cfg(clip), sort_keys=True),
        scale=float(clip.logit_scale.exp()),
        bias=0.0 if bias is None else float(bias),
        weights=weights,
        device=place,
        precision=precision,
        lease=lease,
    )


def weights_hash(module: torch.nn.Module) -> str:
    """Return a hash of the names, types, shapes and bytes of all tensors, 16 hexadecimal digits."""
    digest = sha256()
    for name, tensor in sorted(module.state_dict().items()):
        array = tensor.detach().cpu().contiguous()
        digest.update(f"{name}\0{array.dtype}\0{tuple(array.shape)}\0".encode())
        digest.update(array.view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def _create(spec: ModelSpec) -> tuple[Any, Any]:
    if spec.pretrained != EMBEDDED:
        return create(spec)
    if spec.architecture != tiny.ARCHITECTURE:
        raise LpclipError(
            f"Model '{spec.name}': only {tiny.ARCHITECTURE} has embedded weights; "
            f"give a pretrained tag or a checkpoint for {spec.architecture}."
        )
    if spec.image_size is not None or spec.force_quick_gelu:
        raise LpclipError(
            f"Model '{spec.name}': the embedded weights have an image size and an activation of "
            "their own. Remove image_size and force_quick_gelu."
        )
    with quiet():
        clip, _, preprocess = open_clip.create_model_and_transforms(tiny.ARCHITECTURE)
    tensors, _ = read_compact()
    clip.load_state_dict(expand(tensors))
    return clip, preprocess


def _compiled(encode: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Compile; pad batches to powers of two, since every new size compiles again."""
    compiled: Callable[[Tensor], Tensor] = torch.compile(encode, dynamic=False)

    def padded(images: Tensor) -> Tensor:
        more = (1 << (len(images) - 1).bit_length()) - len(images)
        whole = torch.cat([images, images.new_zeros(more, *images.shape[1:])]) if more else images
        return compiled(whole)[: len(images)]

    return padded


def _memory(clip: Any) -> tuple[int, int]:
    """Estimate the bytes that weights take, and each image of a batch."""
    size = clip.visual.image_size
    height, width = (size, size) if isinstance(size, int) else size
    tensors = clip.state_dict().values()
    of_weights = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    return of_weights, 3 * height * width * BYTES_PER_VALUE


def _precision(spec: ModelSpec, device: torch.device) -> str:
    if spec.precision != "auto":
        return spec.precision
    return "fp32" if device.type == "cpu" else "fp16"
