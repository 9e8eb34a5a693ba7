"""Which model: its settings and files, without anything that could load it."""

import json
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from lpclip.utils.settings import Count, Positive, Written, settings_class

EMBEDDED = "embedded"
PRECOMPUTED = "precomputed"
HUB, FOLDER = "hf-hub:", "local-dir:"
_SAMPLES, _SAMPLE_BYTES = 2048, 4096
CHECKPOINTS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".npz")

Precision: TypeAlias = Literal["auto", "fp32", "bf16", "fp16"]
BatchSize: TypeAlias = Count | Literal["auto"]


@settings_class
class ModelSpec:
    """Which model to load, or which one made features that are there already."""

    name: Annotated[str, Written()]
    """Name of the model in the configuration and in the paths of its caches."""
    architecture: str
    """A name that open_clip has; hf-hub:org/name; or local-dir:folder, a folder with
    open_clip_config.json, weights and, where the model has its own, tokenizer, or one with
    config.json and weights of a CLIP that Hugging Face's transformers saved. Any text where
    pretrained is precomputed."""
    pretrained: str = ""
    """A pretrained tag of open_clip, a checkpoint file (.safetensors, .pt of nothing but tensors,
    or an archive of TorchScript; transformers' names are taken too), embedded, or precomputed: the
    weights are not available, only features that they made. Not for hf-hub and local-dir, which
    bring their weights."""
    force_quick_gelu: bool | None = None
    """Whether the model was trained with QuickGELU, as OpenAI's were; by default what the
    architecture's name implies."""
    precision: Precision = "auto"
    """What images are encoded in; text always in fp32. auto is fp32 on a CPU and fp16 on a GPU,
    which is nearer to fp32 than bf16 and as fast."""
    image_size: Count | None = None
    """Pixels of the side of the images; by default the architecture's own. Weights of another size
    are loaded, and resampled where they have to be, only if it is given."""
    compile: bool = False
    """Whether torch.compile makes the image encoder faster before it runs: worth the time that
    compiling takes for large sets on a GPU."""
    scale: Positive | None = None
    """Of a precomputed model: what it multiplies cosines with; by default that of an lpclip text
    cache, else 100."""
    bias: float | None = None
    """Of a precomputed model: what it adds to its logits; by default that of an lpclip text cache,
    else 0."""
    weights: str | None = None
    """Of a precomputed model: hash of its weights, which lpclip caches have to carry; by default
    the one that they carry."""


def is_checkpoint(pretrained: str) -> bool:
    """Return whether this is the path of a file, and not a tag.

    >>> [is_checkpoint(text) for text in ("laion2b_s34b_b79k", "mine.pt", "weights/mine")]
    [False, True, True]
    """
    path = Path(pretrained)
    return path.suffix in CHECKPOINTS or len(path.parts) > 1 or path.is_file()


def local_files(architecture: str, pretrained: str) -> list[Path]:
    """Return the user's files that a model is loaded from, sorted; they need not exist."""
    if pretrained == PRECOMPUTED:
        return []
    if architecture.startswith(FOLDER):
        folder = Path(architecture.removeprefix(FOLDER))
        return sorted(path for path in folder.glob("*") if path.is_file())
    return [Path(pretrained)] if is_checkpoint(pretrained) else []


def is_transformers_clip(folder: Path) -> bool:
    """Return whether a folder holds a CLIP that transformers saved, and not open_clip."""
    if (folder / "open_clip_config.json").is_file():
        return False
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, dict) and config.get("model_type") == "clip"


def files_hash(paths: Iterable[Path]) -> str:
    """Return a hash of the names, sizes and contents of files, 16 hexadecimal digits.

    Of a file of more than 8 MiB, 2048 blocks of 4 KiB spread over all of it count: training changes
    weights everywhere, and gigabytes would take seconds whenever the workflow is read.
    """
    return sha256("".join(map(_file_hash, paths)).encode()).hexdigest()[:16]


@cache
def _file_hash(path: Path) -> str:
    size = path.stat().st_size
    digest = sha256(f"{path.name}\0{size}\0".encode())
    step = max(_SAMPLE_BYTES, -(-size // _SAMPLES))
    with path.open("rb") as file:
        for place in range(0, size, step):
            file.seek(place)
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()
