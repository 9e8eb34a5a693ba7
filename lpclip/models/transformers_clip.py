"""Convert CLIP models saved by Hugging Face's transformers to open_clip: configuration and tensors.

The two libraries build the same network with different names. Models that open_clip cannot build
identically are refused.
"""

import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import open_clip
import torch
from huggingface_hub import hf_hub_download
from torch import Tensor

from lpclip.errors import LpclipError
from lpclip.models.spec import FOLDER, HUB, is_transformers_clip

log = logging.getLogger(__name__)

TOKENS = 49408  # of the tokenizer that OpenAI published with CLIP
_CONFIG, _IMAGES = "config.json", "preprocessor_config.json"
_VOCABULARIES = ("vocab.json", "tokenizer.json")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")

# Defaults of transformers for missing settings (CLIPTextConfig, CLIPVisionConfig).
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "text_config": {
        "vocab_size": TOKENS,
        "hidden_size": 512,
        "intermediate_size": 2048,
        "num_hidden_layers": 12,
        "num_attention_heads": 8,
        "max_position_embeddings": 77,
        "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-5,
        "eos_token_id": TOKENS - 1,
    },
    "vision_config": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "num_channels": 3,
        "image_size": 224,
        "patch_size": 32,
        "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-5,
    },
}
_PROJECTION = 512
_ARGMAX, _END = 2, TOKENS - 1  # both mean that the text ends at its largest token
_INTERPOLATION = {2: "bilinear", 3: "bicubic"}  # Pillow's constants

_NAMES = {
    r"logit_scale": "logit_scale",
    r"visual_projection\.weight": "visual.proj",
    r"text_projection\.weight": "text_projection",
    r"vision_model\.embeddings\.class_embedding": "visual.class_embedding",
    r"vision_model\.embeddings\.patch_embedding\.weight": "visual.conv1.weight",
    r"vision_model\.embeddings\.position_embedding\.weight": "visual.positional_embedding",
    r"vision_model\.pre_layrnorm\.(weight|bias)": r"visual.ln_pre.\1",
    r"vision_model\.post_layernorm\.(weight|bias)": r"visual.ln_post.\1",
    r"text_model\.embeddings\.token_embedding\.weight": "token_embedding.weight",
    r"text_model\.embeddings\.position_embedding\.weight": "positional_embedding",
    r"text_model\.final_layer_norm\.(weight|bias)": r"ln_final.\1",
}
_BLOCK = re.compile(r"(vision|text)_model\.encoder\.layers\.(\d+)\.(\w+(?:\.\w+)?)\.(weight|bias)")
_IN_BLOCK = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_ATTENTION = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
_COUNTERS = re.compile(r"(text|vision)_model\.embeddings\.position_ids")


def is_of_transformers(tensors: Mapping[str, Tensor]) -> bool:
    """Whether tensors have transformers' names of an image encoder."""
    return "vision_model.embeddings.patch_embedding.weight" in tensors


def renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of transformers' ``CLIPModel`` to open_clip's names.

    Projections are transposed, and the three projections of every attention are joined.

    Raises:
        LpclipError: tensors that transformers' CLIP does not have, such as SigLIP's.
    """
    found: dict[str, Tensor] = {}
    attention: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if _COUNTERS.fullmatch(name):
            continue
        if match := _BLOCK.fullmatch(name):
            tower, number, part, kind = match.groups()
            block = f"{'visual.' * (tower == 'vision')}transformer.resblocks.{number}"
            if part in _ATTENTION:
                attention.setdefault(f"{block}.attn.in_proj_{kind}", {})[part] = tensor
                continue
            if part in _IN_BLOCK:
                found[f"{block}.{_IN_BLOCK[part]}.{kind}"] = tensor
                continue
        new = next((re.sub(k, v, name) for k, v in _NAMES.items() if re.fullmatch(k, name)), None)
        if new is None:
            raise LpclipError(
                f"it is a model of transformers', but no CLIP that open_clip can build: it holds "
                f"'{name}'. Give open_clip's copy of the model (of SigLIP's: hf-hub:timm/…)."
            )
        found[new] = tensor.T.contiguous() if name.endswith("_projection.weight") else tensor
    for name, parts in attention.items():
        if len(parts) == len(_ATTENTION):  # otherwise open_clip reports what is missing
            found[name] = torch.cat([parts[part] for part in _ATTENTION])
    return found


def quick_gelu(folder: Path) -> bool | None:
    """Whether the configuration next to weights names QuickGELU; None without a configuration."""
    if not is_transformers_clip(folder):
        return None
    config = _read(folder / _CONFIG)
    return str(_part(config, "text_config")["hidden_act"]) == "quick_gelu"


def folder_of(architecture: str) -> Path | None:
    """Return the folder of a CLIP saved by transformers, fetched from the hub; None for others."""
    if architecture.startswith(FOLDER):
        folder = Path(architecture.removeprefix(FOLDER))
        return folder if is_transformers_clip(folder) else None
    if not architecture.startswith(HUB):
        return None
    repository = architecture.removeprefix(HUB)
    if _fetched(repository, "open_clip_config.json") is not None:
        return None
    config = _fetched(repository, _CONFIG)
    if config is None or not is_transformers_clip(config.parent):
        return None
    for name in (_IMAGES, *_VOCABULARIES):
        _fetched(repository, name)
    for name in _WEIGHTS:
        if _fetched(repository, name) is not None:
            break
    return config.parent


def weights_in(folder: Path) -> Path:
    """Return the weights file in a folder saved by transformers; LpclipError if none, or split."""
    for name in _WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    if any(folder.glob("*.index.json")):
        raise LpclipError(
            f"{folder} holds its weights in parts. Save them as one: "
            "model.save_pretrained(folder, max_shard_size='100GB')."
        )
    raise LpclipError(f"{folder} holds neither {_WEIGHTS[0]} nor {_WEIGHTS[1]}. Copy it again.")


def open_clip_config(folder: Path) -> dict[str, Any]:
    """Return the equivalent of ``open_clip_config.json`` for a folder saved by transformers.

    Without ``preprocessor_config.json``, the preprocessing is transformers' default.

    Raises:
        LpclipError: a model that open_clip cannot build identically, or another tokenizer than
            CLIP's.
    """
    config = _read(folder / _CONFIG)
    text, vision = _part(config, "text_config"), _part(config, "vision_config")
    where = folder / _CONFIG
    activation = text["hidden_act"]
    _check(where, "hidden_act", activation, ("quick_gelu", "gelu"))
    _check(where, "hidden_act of vision_config", vision["hidden_act"], (activation,))
    _check(where, "vocab_size", text["vocab_size"], (TOKENS,))
    _check(where, "eos_token_id", text["eos_token_id"], (_ARGMAX, _END))
    _check(where, "num_channels", vision["num_channels"], (3,))
    _check_tokenizer(folder)
    model = {
        "embed_dim": config.get("projection_dim", _PROJECTION),
        "quick_gelu": activation == "quick_gelu",
        "vision_cfg": {
            "image_size": vision["image_size"],
            "patch_size": vision["patch_size"],
            "head_width": vision["hidden_size"] // vision["num_attention_heads"],
            **_tower(vision),
        },
        "text_cfg": {
            "context_length": text["max_position_embeddings"],
            "vocab_size": text["vocab_size"],
            "heads": text["num_attention_heads"],
            **_tower(text),
        },
    }
    return {"model_cfg": model, "preprocess_cfg": _preprocessing(folder, vision["image_size"])}


def _fetched(repository: str, name: str) -> Path | None:
    """Return a file of a repository, through the hub's cache; None if unavailable."""
    try:
        return Path(hf_hub_download(repository, name))
    except Exception as error:  # types of the hub's client and its libraries
        log.info("%s of %s: %s", name, repository, " ".join(str(error).split())[:200])
        return None


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise LpclipError(f"{path} cannot be read as JSON ({error}). Get it again.") from error
    if not isinstance(found, dict):
        raise LpclipError(f"{path} holds no JSON object. Get it again.")
    return found


def _part(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the configuration of a tower; a second one in older files takes precedence."""
    return {**DEFAULTS[name], **(config.get(name) or {}), **(config.get(f"{name}_dict") or {})}


def _tower(part: Mapping[str, Any]) -> dict[str, Any]:
    width = part["hidden_size"]
    found = {
        "width": width,
        "layers": part["num_hidden_layers"],
        # open_clip rounds the product down; half a unit more keeps it exact.
        "mlp_ratio": (part["intermediate_size"] + 0.5) / width,
    }
    if part["layer_norm_eps"] != 1e-5:
        found["norm_kwargs"] = {"eps": part["layer_norm_eps"]}
    return found


def _check(where: Path, what: str, found: Any, allowed: tuple[Any, ...]) -> None:
    if found not in allowed:
        raise LpclipError(
            f"{where} has {what} {found}, with which open_clip cannot build the model; it can with "
            f"{' or '.join(map(str, allowed))}. Give a model that open_clip saved."
        )


def _check_tokenizer(folder: Path) -> None:
    """Refuse a vocabulary other than CLIP's, which open_clip would ignore."""
    for name in _VOCABULARIES:
        if not (folder / name).is_file():
            continue
        found = _read(folder / name)
        found = found if name == "vocab.json" else (found.get("model") or {}).get("vocab") or {}
        names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
        own = open_clip.tokenizer._tokenizer.encoder
        if found != {names.get(token, token): number for token, number in own.items()}:
            raise LpclipError(
                f"{folder / name} is a vocabulary other than that of CLIP, which open_clip would "
                "use for this model. Give a model that open_clip saved with its tokenizer."
            )


def _preprocessing(folder: Path, image_size: int) -> dict[str, Any]:
    """Return the preprocessing of ``preprocessor_config.json``; both libraries share defaults."""
    path = folder / _IMAGES
    if not path.is_file():
        return {}
    given = _read(path)
    size = given.get("size", image_size)
    crop = given.get("crop_size", image_size)
    squashed = isinstance(size, dict) and "shortest_edge" not in size
    sides = {
        side
        for value in (size, crop)
        for side in (value.values() if isinstance(value, dict) else [value])
    }
    if sides != {image_size}:
        raise LpclipError(
            f"{path} resizes to {size} and cuts out {crop}, but the model takes {image_size}; "
            "open_clip resizes to what the model takes. Make them equal."
        )
    resample = given.get("resample", 3)
    _check(path, "resample", resample, tuple(_INTERPOLATION))
    found = {key: given[f"image_{key}"] for key in ("mean", "std") if f"image_{key}" in given}
    mode = "squash" if squashed else "shortest"
    return {"interpolation": _INTERPOLATION[resample], "resize_mode": mode, **found}
