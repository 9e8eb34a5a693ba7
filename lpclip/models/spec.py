"""Which model: what a configuration says of one, without anything that could load it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

EMBEDDED = "embedded"
PRECOMPUTED = "precomputed"
HUB, FOLDER = "hf-hub:", "local-dir:"
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
_SAMPLES, _SAMPLE_BYTES = 2048, 4096
CHECKPOINTS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".npz")


@dataclass(frozen=True)
class ModelSpec:
    """Which model to load, or which one made features that are there already.

    Attributes:
        name: its name in the configuration and in the paths of its caches.
        architecture: a name that open_clip knows, ``lpclip-tiny``, ``hf-hub:org/name`` or
            ``local-dir:folder`` (both bring their weights); any text for ``precomputed``.
        pretrained: a pretrained tag of open_clip, the path of a checkpoint, ``embedded`` for
            the weights that come with lpclip, or ``precomputed``: the weights are not at hand,
            only features that they made. Empty where the architecture brings them.
        force_quick_gelu: whether the activation is QuickGELU, as of OpenAI's weights; None: as
            the architecture's name says.
        precision: ``fp32``, ``bf16`` or ``fp16``, of images; ``auto`` is fp32 on a CPU and fp16
            elsewhere, the nearest to fp32 that is fast.
        image_size: pixels of the side of the images; None: the architecture's own.
        compile: whether torch.compile makes the image encoder faster first.
        scale: what a precomputed model multiplies cosines with; None: that of an lpclip text
            cache, else 100, as of every CLIP model of OpenAI's.
        bias: what it adds to them; None: that of an lpclip text cache, else 0.
        weights: hash of the weights that made precomputed features, where it is known; lpclip
            caches have to agree.
    """

    name: str
    architecture: str
    pretrained: str = ""
    force_quick_gelu: bool | None = None
    precision: str = "auto"
    image_size: int | None = None
    compile: bool = False
    scale: float | None = None
    bias: float | None = None
    weights: str | None = None


def is_checkpoint(pretrained: str) -> bool:
    """Whether it is the path of a file, and not a tag.

    >>> [is_checkpoint(text) for text in ("laion2b_s34b_b79k", "mine.pt", "weights/mine")]
    [False, True, True]
    """
    path = Path(pretrained)
    return path.suffix in CHECKPOINTS or len(path.parts) > 1 or path.is_file()


def local_files(architecture: str, pretrained: str) -> list[Path]:
    """Files of the user's that a model is loaded from, sorted; they need not exist."""
    if pretrained == PRECOMPUTED:
        return []
    if architecture.startswith(FOLDER):
        folder = Path(architecture.removeprefix(FOLDER))
        return sorted(path for path in folder.glob("*") if path.is_file())
    return [Path(pretrained)] if is_checkpoint(pretrained) else []


def is_transformers_clip(folder: Path) -> bool:
    """Whether a folder holds a CLIP as Hugging Face's transformers saves it, and not open_clip."""
    if (folder / "open_clip_config.json").is_file():
        return False
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, dict) and config.get("model_type") == "clip"


def files_hash(paths: Iterable[Path]) -> str:
    """Hash of the names, sizes and contents of files, 16 hexadecimal digits.

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
