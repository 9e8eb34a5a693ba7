"""Read checkpoint files of many layouts as tensors with open_clip's names, without running code.

open_clip reads ``.safetensors`` and files of ``torch.save`` as they come from its own training.
Here they are unwrapped from the containers of other programs, without guessing: a set of weights is
where ``logit_scale`` is, which every CLIP has once.
"""

import codecs
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from lpclip.errors import LpclipError
from lpclip.models import transformers_clip

_SCALE = "logit_scale"
_TOWERS = ("visual.", "vision_model.", "image_encoder.")
# Prefixes and infixes that torch's wrappers add to names.
_WRAPPERS = re.compile(r"(?<![^.])(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
# Numbers that OpenAI's archives store as tensors next to the weights.
_NUMBERS = ("input_resolution", "context_length", "vocab_size")
_DEPTH = 4
_LOOK = 1024


@dataclass(frozen=True)
class Checkpoint:
    """Content of a checkpoint file."""

    tensors: dict[str, Tensor]  # by open_clip's names
    quick_gelu: bool | None = None  # None if neither the file nor a configuration states it
    remark: str = ""  # on tensors of the file that were left out


def read_checkpoint(path: Path) -> Checkpoint:
    """Read the one set of CLIP weights in ``.safetensors``, or of ``torch.save`` or ``jit.save``.

    Raises:
        LpclipError: a web page or other text, no or several sets of weights, or a model that
            open_clip cannot build. Errors of torch and safetensors pass through.
    """
    check_bytes(path)
    quick: bool | None = None
    if path.suffix == ".safetensors":
        content: Any = load_file(path)
    elif (archive := _archive(path)) is not None:
        content, quick = _read_torchscript(path, archive)
    else:
        content = torch.load(path, map_location="cpu", weights_only=True)
    tensors, remark = _one_set(path, content)
    if transformers_clip.is_of_transformers(tensors):
        try:
            tensors = transformers_clip.renamed(tensors)
        except LpclipError as error:
            raise LpclipError(f"{path}: {error}") from error
        quick = transformers_clip.quick_gelu(path.parent)
    return Checkpoint(tensors, quick, remark)


def check_bytes(path: Path) -> None:
    """Refuse text, such as a web page, which a failed download may leave under a model's name."""
    with path.open("rb") as file:
        start = file.read(_LOOK)
    try:
        # Incremental: the last character may be incomplete.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(start).strip()
    except UnicodeDecodeError:
        return
    if not text or "\0" in text:
        return
    if text.startswith("<"):
        raise LpclipError(
            f"{path} is a web page, no checkpoint: what was fetched was an error or a log-in. Get "
            "the file again."
        )
    if text.startswith("version https://git-lfs"):
        raise LpclipError(
            f"{path} is Git LFS's stand-in for a checkpoint. Fetch the file itself: git lfs pull."
        )
    line = " ".join(text.split())[:60]
    raise LpclipError(f"{path} is text ({line!r} …), no checkpoint. Get the file again.")


def _one_set(path: Path, content: Any) -> tuple[dict[str, Tensor], str]:
    """Return the unwrapped set of weights, and a remark on what was left out."""
    if not isinstance(content, Mapping):
        raise LpclipError(f"{path} holds a {type(content).__name__}, no state_dict of a model.")
    sets = list(_sets(content))
    if len(sets) > 1:
        # The layout of open_clip; next to it may be a second set, such as an average.
        usual = [s for s in sets if s[0] == ("state_dict",) and s[1] in ("", "module.")]
        sets = usual or sets
    if len(sets) > 1:
        names = ", ".join(repr(".".join((*place, prefix)).strip(".")) for place, prefix, _ in sets)
        raise LpclipError(
            f"{path} holds {len(sets)} sets of weights ({names}). Save the one to use alone, as "
            ".safetensors."
        )
    if not sets:
        names = ", ".join(list(map(str, content))[:3])
        raise LpclipError(
            f"{path} holds no weights of a CLIP model with both encoders: nothing in it is called "
            f"{_SCALE} (it begins with {names or 'nothing'}). Give the whole model's state_dict."
        )
    (_, prefix, tensors), *_ = sets
    inside = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    remark = ""
    if others := [name for name in tensors if not name.startswith(prefix)]:
        more = ", …" if len(others) > 3 else ""
        remark = (
            f"{path}: the model is the {len(inside)} tensors under '{prefix.rstrip('.')}'; "
            f"{len(others)} others are left out ({', '.join(others[:3])}{more})"
        )
    kept = {
        name: tensor
        for name, tensor in inside.items()
        if name not in _NUMBERS or tensor.ndim or tensor.is_floating_point()
    }
    return kept, remark


def _sets(
    content: Mapping[Any, Any], place: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], str, dict[str, Tensor]]]:
    """Find sets of weights: keys that lead to the mapping, prefix in it, its tensors."""
    tensors = {
        _WRAPPERS.sub("", name): value
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    for name in tensors:
        prefix = name.removesuffix(_SCALE)
        towers = tuple(f"{prefix}{tower}" for tower in _TOWERS)
        is_scale = name.endswith(_SCALE) and prefix[-1:] in ("", ".")
        if is_scale and any(other.startswith(towers) for other in tensors):
            yield place, prefix, tensors
    for name, value in content.items():
        if isinstance(value, Mapping) and len(place) < _DEPTH:
            yield from _sets(value, (*place, str(name)))


def _archive(path: Path) -> str | None:
    """Return the folder in a zip file that holds a TorchScript module; None for other files."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as file:
        found = [name for name in file.namelist() if name.endswith("/constants.pkl")]
    return found[0].removesuffix("constants.pkl") if found else None


class _Module:
    """Placeholder for the modules of a TorchScript archive: attributes without code."""

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.attributes = state


def _tensors_of(module: _Module, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Return the tensors as in the module's ``state_dict``."""
    for name, value in module.attributes.items():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, _Module):
            yield from _tensors_of(value, f"{prefix}{name}.")


def _tensor(
    storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> Tensor:
    return torch.as_strided(storage, size, stride, offset)  # refuses views outside the storage


class _Unpickler(pickle.Unpickler):
    """Unpickles tensors and modules without their code; everything else is refused."""

    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(archive.open(f"{folder}data.pkl"))
        self._archive, self._folder = archive, folder
        self.classes: set[str] = set()

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "__torch__":
            self.classes.add(name)
            return _Module
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name.endswith("Storage") and hasattr(torch, name):
            return getattr(torch, name).dtype
        raise pickle.UnpicklingError(f"it holds {module}.{name}")

    def persistent_load(self, saved: Any) -> Tensor:
        _, dtype, key, *_ = saved
        stored = bytearray(self._archive.read(f"{self._folder}data/{key}"))
        return torch.frombuffer(stored, dtype=dtype) if stored else torch.empty(0, dtype=dtype)


def _read_torchscript(path: Path, folder: str) -> tuple[dict[str, Tensor], bool | None]:
    """Return tensors by name, and whether the archive's code (not run) contains QuickGELU."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpickler = _Unpickler(archive, folder)
            module = unpickler.load()
            code = [archive.read(name) for name in archive.namelist() if name.endswith(".py")]
        # TorchScript also stores the causal mask, which open_clip builds itself.
        tensors = {k: v for k, v in _tensors_of(module) if k.rpartition(".")[2] != "attn_mask"}
    except Exception as error:  # zip and pickle raise many types for damaged files
        reason = " ".join(str(error).split())[:120]
        raise LpclipError(
            f"{path} is a TorchScript archive from which no tensors can be read ({reason}). It may "
            "be damaged; get it again."
        ) from error
    quick = "QuickGELU" in unpickler.classes or any(b"1.702" in text for text in code)
    return tensors, True if quick else None
