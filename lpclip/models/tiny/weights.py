"""The weights file of the embedded CLIP: compact on disk, plain open_clip in memory.

All but about a hundred of the 49,408 tokens never occur in a caption of the training set, so the
compact file stores only the rows of the token embedding that were trained, with their ids. Numbers
are float16 on disk.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lpclip.errors import LpclipError
from lpclip.models.tiny import CONFIG, WEIGHTS
from lpclip.utils.atomic import atomic_path

EMBEDDING = "token_embedding.weight"
TOKEN_IDS = "token_ids"


def expand(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the full open_clip state dict of a compact one, float32 (integers as they are).

    ``token_ids``, int [T], ascending, and ``token_embedding.weight`` [T, width] become
    ``token_embedding.weight`` [vocabulary, width], zero for tokens outside the training set.

    Raises:
        LpclipError: ``token_ids`` or the embedding is missing, or they do not match.
    """
    full = {
        name: tensor.float() if tensor.is_floating_point() else tensor.clone()
        for name, tensor in state_dict.items()
    }
    if TOKEN_IDS not in full or EMBEDDING not in full:
        raise LpclipError(
            f"Not a compact lpclip-tiny checkpoint: it lacks '{TOKEN_IDS}' or '{EMBEDDING}'."
        )
    ids, rows = full.pop(TOKEN_IDS).long(), full[EMBEDDING]
    vocabulary = int(json.loads(CONFIG.read_text())["text_cfg"]["vocab_size"])
    if len(ids) != len(rows) or not len(ids) or ids.min() < 0 or ids.max() >= vocabulary:
        raise LpclipError(
            f"A compact lpclip-tiny checkpoint has one token id below {vocabulary} for each row of "
            f"its embedding; this one has {len(ids)} ids and {len(rows)} rows."
        )
    full[EMBEDDING] = rows.new_zeros(vocabulary, rows.shape[1]).index_copy(0, ids, rows)
    return full


def read_compact(path: Path = WEIGHTS) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read tensors and metadata of a compact file; LpclipError without a complete one."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, dict(file.metadata() or {})
    except FileNotFoundError as error:
        raise LpclipError(f"There is no checkpoint at {path}.") from error
    except (SafetensorError, OSError) as error:
        raise LpclipError(f"{path} is not a readable safetensors file: {error}") from error


def write_compact(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file atomically."""
    with atomic_path(path) as partial:
        save_file(dict(tensors), partial, metadata=dict(metadata))


def write_plain(path: Path, weights: Path = WEIGHTS) -> None:
    """Write the full checkpoint (float16, 6 MB) that open_clip loads without lpclip.

    ``open_clip.add_model_config(lpclip.models.tiny.CONFIG)`` first, then
    ``open_clip.create_model_and_transforms("lpclip-tiny", pretrained=str(path))``. open_clip
    recognises the format by the name: ``*.safetensors``.
    """
    tensors, metadata = read_compact(weights)
    plain = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in expand(tensors).items()
    }
    write_compact(path, plain, metadata)
