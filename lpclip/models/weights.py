"""Load weights through open_clip, with a clear error if that fails.

No code is unpickled: ``lpclip.models.checkpoints`` reads the files.
"""

import json
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import open_clip
import torch
from open_clip.constants import HF_SAFE_WEIGHTS_NAME

from lpclip.errors import LpclipError
from lpclip.models import hub, transformers_clip
from lpclip.models.checkpoints import check_bytes, read_checkpoint
from lpclip.models.positions import check_positions, mismatch
from lpclip.models.published import check_activation, check_weights, preprocessing, published
from lpclip.models.spec import FOLDER, HUB, ModelSpec

log = logging.getLogger(__name__)


@dataclass
class _Read:
    """The checkpoint that open_clip read, if any."""

    path: Path | None = None
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)  # before open_clip changes any
    quick_gelu: bool | None = None
    remark: str = ""


def create(spec: ModelSpec) -> tuple[Any, Any]:
    """Create the open_clip model, float32 on the CPU, and its preprocessing.

    Raises:
        LpclipError: weights that are unavailable, are not those of the architecture, hold code or
            nan, were trained with another activation, or have another image size (unless one is
            configured) or context length.
    """
    wanted: dict[str, Any] = {}
    if not spec.architecture.startswith((HUB, FOLDER)):
        _check_image_size(spec)
        known = published(spec.architecture)
        check_weights(spec, known)
        if not hub.is_tag(spec):
            wanted = preprocessing(spec, known)
    if hub.hub_files(spec):
        hub.look_for_hub()
    read = _Read()
    try:
        if spec.pretrained.endswith(".npz"):  # read by open_clip itself
            check_bytes(Path(spec.pretrained))
        with (
            quiet(),
            _built_by_open_clip(spec) as (architecture, weights),
            _own_reader(weights) as read,
        ):
            clip, preprocess = open_clip.create_model_from_pretrained(
                architecture,
                pretrained=spec.pretrained or None,
                force_quick_gelu=bool(spec.force_quick_gelu),
                force_image_size=spec.image_size,
                **{f"image_{key}": value for key, value in wanted.items()},
            )
        where = str(read.path or spec.pretrained or spec.architecture)
        if read.remark:
            log.warning("model '%s': %s", spec.name, read.remark)
        if not hub.is_tag(spec):
            check_positions(spec, where, read.shapes, clip)
            check_activation(spec, where, clip, read.quick_gelu)
        _check_finite(where, clip)
    except Exception as error:
        # open_clip, the hub and torch raise many types, whose meaning depends on the source.
        text = str(error) if isinstance(error, LpclipError) else _reason(spec, read, error)
        raise LpclipError(f"Model '{spec.name}': {text}") from error
    return clip, preprocess


@contextmanager
def _own_reader(weights: Path | None) -> Iterator[_Read]:
    """Replace open_clip's reader of checkpoints, to read the weights, or else what it finds."""
    read, theirs = _Read(), open_clip.factory.load_state_dict

    def load_state_dict(path: str, *_: Any, **__: Any) -> dict[str, torch.Tensor]:
        read.path = weights or Path(path)
        checkpoint = read_checkpoint(read.path)
        read.shapes = {name: tuple(tensor.shape) for name, tensor in checkpoint.tensors.items()}
        read.quick_gelu, read.remark = checkpoint.quick_gelu, checkpoint.remark
        return checkpoint.tensors

    open_clip.factory.load_state_dict = load_state_dict
    try:
        yield read
    finally:
        open_clip.factory.load_state_dict = theirs


@contextmanager
def _built_by_open_clip(spec: ModelSpec) -> Iterator[tuple[str, Path | None]]:
    """Yield open_clip's name of the architecture, and the weights if open_clip cannot find them."""
    folder = transformers_clip.folder_of(spec.architecture)
    if folder is None:
        yield spec.architecture, None
        return
    config = transformers_clip.open_clip_config(folder)
    weights = transformers_clip.weights_in(folder)
    with TemporaryDirectory() as name:
        (Path(name) / hub.CONFIGURATION).write_text(json.dumps(config))
        (Path(name) / HF_SAFE_WEIGHTS_NAME).touch()
        yield f"{FOLDER}{name}", weights


def _check_finite(where: str, clip: Any) -> None:
    tensors = {k: v for k, v in clip.state_dict().items() if v.is_floating_point()}
    # A sum needs no extra memory, and is finite only if all its terms are.
    broken = [k for k, v in tensors.items() if not (v.sum().isfinite() or v.isfinite().all())]
    if broken:
        raise LpclipError(
            f"{where} holds nan or infinite numbers in {len(broken)} of {len(tensors)} tensors "
            f"({broken[0]}): training diverged, or the file is damaged. Give another checkpoint."
        )


def _check_image_size(spec: ModelSpec) -> None:
    """Refuse images smaller than a patch; PyTorch's own error is unclear."""
    config: Any = open_clip.get_model_config(spec.architecture)
    patch = config["vision_cfg"].get("patch_size") or 0
    if spec.image_size is not None and spec.image_size < patch:
        raise LpclipError(
            f"Model '{spec.name}': an image_size of {spec.image_size} is less than one patch of "
            f"{spec.architecture}. Give at least {patch}."
        )


def _reason(spec: ModelSpec, read: _Read, error: Exception) -> str:
    """Explain what went wrong with which file, and what to do."""
    text = " ".join(str(error).split())
    if missing := hub.missing_extra(error) or hub.missing_on_hub(spec):
        return missing
    where = str(read.path or spec.pretrained or spec.architecture.removeprefix(FOLDER))
    if "Weights only load failed" in text and re.search(r"GLOBAL|[Uu]nsupported", text):
        return (
            f"{where} holds pickled objects next to tensors, which could run code and are never "
            "loaded. Save its state_dict as .safetensors."
        )
    differs = re.search(
        r"((?:Missing|Unexpected) key\(s\) in state_dict: \"[^\"]+\"|pos_embed \w+ changed)", text
    )
    if differs:
        return (
            f"{where} does not hold the weights of {spec.architecture} "
            f"({differs[1]}). Name the architecture that they are of."
        )
    return mismatch(spec, where, read.shapes, text) or (
        f"{where} cannot be loaded as the weights of {spec.architecture} ({text[:200]}). The file "
        "may be truncated, no checkpoint, or another model's; get it again, or give another."
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the root logger and warnings: whatever matters of them is an error here."""
    level = logging.root.level
    logging.root.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.root.setLevel(level)
