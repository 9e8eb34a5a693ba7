"""Check that a checkpoint has the image size and context length of its architecture.

open_clip silently resamples positional embeddings that do not fit, which changes the model.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import open_clip

from lpclip.errors import LpclipError
from lpclip.models.spec import FOLDER, HUB, ModelSpec

Shapes = Mapping[str, Sequence[int]]  # of the tensors of a checkpoint, by open_clip's names

_IMAGE = "visual.positional_embedding"
_TEXT = ("positional_embedding", "text.positional_embedding")
_POOL, _TIMM = "visual.attnpool.positional_embedding", "visual.trunk.pos_embed"
_POOL_PIXELS = 32  # per position of a ResNet's attention pool
_DIFFERS = re.compile(
    r"size mismatch for ([\w.]+): copying a param with shape torch\.Size\(\[([\d, ]*)\]\) from "
    r"checkpoint, the shape in current model is torch\.Size\(\[([\d, ]*)\]\)"
)


def check_positions(spec: ModelSpec, where: str, shapes: Shapes, clip: Any) -> None:
    """Refuse weights with another number of image or text positions than the loaded model.

    open_clip resampled the image positions, which is accepted if an image size is configured.
    """
    own = {name: tuple(tensor.shape) for name, tensor in clip.state_dict().items()}
    resampled = _IMAGE in shapes and shapes[_IMAGE][0] != own[_IMAGE][0]
    if resampled and spec.image_size is None:
        side = math.isqrt(shapes[_IMAGE][0] - 1)
        patch = clip.visual.patch_size[0]
        takes = " x ".join(map(str, dict.fromkeys(clip.visual.image_size)))
        raise LpclipError(
            f"{where} holds {side} x {side} patches = {side * patch} pixels, {spec.architecture} "
            f"takes {takes}. {_cure(spec, side * patch)}"
        )
    for name in _TEXT:
        found = shapes.get(name)
        expected = next((own[name] for name in _TEXT if name in own), None)
        if found is not None and expected is not None and found[0] != expected[0]:
            length = found[0] - (expected[0] - clip.context_length)  # without the class token
            raise LpclipError(
                f"{where} holds {found[0]} positions of text, {spec.architecture} has "
                f"{expected[0]}. Name the architecture that it is of, or give it in a folder whose "
                f"open_clip_config.json has context_length: {length}, as 'architecture: {FOLDER}…'."
            )


def mismatch(spec: ModelSpec, where: str, shapes: Shapes, error: str) -> str:
    """Explain an error of open_clip or torch about positions or other shapes; else empty."""
    if _IMAGE in shapes and "shape '[" in error and "is invalid for input" in error:
        return (
            f"{where} holds {shapes[_IMAGE][0] - 1} patches, no square, which do not fit "
            f"{spec.architecture} and cannot be resampled. Name the architecture that it is of."
        )
    differ = {name: (_numbers(a), _numbers(b)) for name, a, b in _DIFFERS.findall(error)}
    if list(differ) == [_POOL]:
        found, own = (math.isqrt(shape[0] - 1) for shape in differ[_POOL])
        pixels = _POOL_PIXELS * found
        cure = (
            f"Set image_size: {pixels}: an attention pool cannot be resampled."
            if spec.image_size is not None
            else _cure(spec, pixels)
        )
        return (
            f"{where} holds {found} x {found} positions = {pixels} pixels, the model takes "
            f"{_POOL_PIXELS * own}. {cure}"
        )
    if list(differ) == [_TIMM]:
        (_, found, _), (_, own, _) = differ[_TIMM]
        return (
            f"{where} holds {found} positions of the image, {spec.architecture} takes {own} before "
            f"an image_size is set. Name the architecture that it is of{_others(spec)}."
        )
    if differ:
        name, (there, here) = next(iter(differ.items()))
        return (
            f"{where} does not hold the weights of {spec.architecture} ({name} is {list(there)}, "
            f"not {list(here)}). Name the architecture that they are of."
        )
    return ""


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, filter(None, text.split(", "))))


def _cure(spec: ModelSpec, pixels: int) -> str:
    if spec.architecture.startswith((HUB, FOLDER)):
        return f"Set image_size: {pixels}, or correct it in its configuration."
    return f"Set image_size: {pixels}, or name the architecture{_others(spec, pixels)}."


def _others(spec: ModelSpec, pixels: int | None = None) -> str:
    """List the architectures that differ only in the image size, in parentheses."""
    if spec.architecture.startswith((HUB, FOLDER)):
        return ""

    def without_size(name: str) -> tuple[Any, int]:
        config = open_clip.get_model_config(name)
        vision = config["vision_cfg"]
        config["text_cfg"].pop("hf_tokenizer_name", None)
        size = vision.pop("image_size", 224)
        vision["timm_model_name"] = re.sub(r"_\d+$", "", vision.get("timm_model_name") or "")
        return config, size

    own, _ = without_size(spec.architecture)
    found = [
        name
        for name in open_clip.list_models()
        if name != spec.architecture
        and without_size(name)[0] == own
        and pixels in (None, without_size(name)[1])
    ]
    return f" ({', '.join(found)})" if found else ""
