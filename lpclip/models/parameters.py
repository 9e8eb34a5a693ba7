"""How large a model is, from its configuration alone: without PyTorch, and before any download."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from lpclip.models.spec import EMBEDDED, FOLDER, PRECOMPUTED, ModelSpec, local_files
from lpclip.models.tiny import WEIGHTS

# Of a model of which nothing is known before it is loaded: that of a ViT-L-14 with 336 pixels.
_UNKNOWN_DIM, _UNKNOWN_PARAMETERS, _UNKNOWN_OPERATIONS = 768, 430e6, 190e9


class Magnitude(NamedTuple):
    """The size of a model, roughly."""

    dim: int  # D of its features; exact where its configuration has it
    parameters: float
    image_operations: float  # multiplications of one image


@cache
def magnitude(model: ModelSpec) -> Magnitude:
    """Return the size of a model: exact in D, within a third otherwise where it is a ViT or ResNet.

    >>> magnitude(ModelSpec(name="b", architecture="ViT-B-32", pretrained="openai")).dim
    512
    """
    if model.pretrained == PRECOMPUTED:
        return Magnitude(_UNKNOWN_DIM, 0, 0)
    found = _of_config(_config(model), model.image_size)
    # Whatever is downloaded is unknown; what is here has a size, in 2 or 4 bytes per number.
    on_disk = sum(path.stat().st_size for path in _weights(model))
    return found._replace(parameters=max(found.parameters, on_disk / 4))


def _weights(model: ModelSpec) -> list[Path]:
    files = local_files(model.architecture, model.pretrained)
    return [path for path in files if path.is_file() and path.suffix != ".json"]


@cache
def _read(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _config(model: ModelSpec) -> Mapping[str, Any]:
    """Return the configuration of an architecture in open_clip's format; empty where unknown."""
    if model.pretrained == EMBEDDED:
        return _read(next(WEIGHTS.parent.glob("*.json")))
    if model.architecture.startswith(FOLDER):
        folder = Path(model.architecture.removeprefix(FOLDER))
        found = _read(folder / "open_clip_config.json")
        return dict(found.get("model_cfg", {})) or _of_transformers(_read(folder / "config.json"))
    package = find_spec("open_clip")
    assert package is not None
    assert package.origin is not None
    return _read(Path(package.origin).parent / f"model_configs/{model.architecture}.json")


def _of_transformers(config: Mapping[str, Any]) -> Mapping[str, Any]:
    if "projection_dim" not in config:
        return {}
    vision, text = config.get("vision_config", {}), config.get("text_config", {})
    return {
        "embed_dim": config["projection_dim"],
        "vision_cfg": {
            "width": vision.get("hidden_size", 768),
            "layers": vision.get("num_hidden_layers", 12),
            "patch_size": vision.get("patch_size", 32),
            "image_size": vision.get("image_size", 224),
        },
        "text_cfg": {
            "width": text.get("hidden_size", 512),
            "layers": text.get("num_hidden_layers", 12),
            "vocab_size": text.get("vocab_size", 49408),
        },
    }


def _of_config(config: Mapping[str, Any], image_size: int | None) -> Magnitude:
    vision, text = config.get("vision_cfg", {}), config.get("text_cfg", {})
    dim = int(config.get("embed_dim", _UNKNOWN_DIM))
    width, layers = vision.get("width"), vision.get("layers")
    side = image_size or vision.get("image_size", 224)
    side = max(side) if isinstance(side, list) else side
    if not width or not layers:  # a tower of another library
        return Magnitude(dim, _UNKNOWN_PARAMETERS, _UNKNOWN_OPERATIONS)
    if isinstance(layers, list):  # ResNet: blocks of four widths, at four resolutions
        of_stages = [n * 14 * (width * 2**stage) ** 2 for stage, n in enumerate(layers)]
        of_images = sum(
            size * (side / 2 ** (stage + 2)) ** 2 for stage, size in enumerate(of_stages)
        )
        of_vision = sum(of_stages) + 4 * (32 * width) ** 2
    else:
        tokens = (side / vision.get("patch_size", 32)) ** 2 + 1
        of_vision = 12 * layers * width**2
        of_images = tokens * of_vision
    of_text = 12 * text.get("layers", 12) * text.get("width", 512) ** 2
    of_words = text.get("vocab_size", 49408) * text.get("width", 512)
    return Magnitude(dim, of_vision + of_text + of_words, of_images)
