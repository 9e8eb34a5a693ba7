"""The part of the configuration's check that is about models: what needs no PyTorch."""

from functools import cache
from pathlib import Path

from lpclip.config.schema import Model
from lpclip.errors import LpclipError, did_you_mean
from lpclip.models import tiny
from lpclip.models.spec import FOLDER, HUB, PRECOMPUTED, is_checkpoint, is_transformers_clip
from lpclip.utils.packages import package_folder

_ONLY_PRECOMPUTED = ("scale", "bias", "weights")


def check_model(name: str, model: Model) -> None:
    """Refuse a model that cannot be.

    Raises:
        LpclipError: an architecture that open_clip does not have, no weights or too many, or a
            file or folder that is not there.
    """
    where = f"configuration: models.{name}"
    architecture, pretrained = model.architecture, model.pretrained
    if pretrained == PRECOMPUTED:
        return
    for key in _ONLY_PRECOMPUTED:
        if getattr(model, key) is not None:
            raise LpclipError(
                f"{where}.{key} is for 'pretrained: {PRECOMPUTED}'; a model that is loaded has "
                "its own. Remove it."
            )
    if architecture.startswith((HUB, FOLDER)):
        if pretrained:
            raise LpclipError(
                f"{where}.pretrained is not for '{architecture}', which brings its own weights. "
                "Remove it."
            )
        if architecture.startswith(FOLDER):
            _check_folder(where, Path(architecture.removeprefix(FOLDER)))
        return
    if architecture not in (known := architectures()):
        raise LpclipError(
            f"{where}: open_clip has no architecture '{architecture}'. "
            f"{did_you_mean(architecture, known)}"
        )
    if not pretrained:
        raise LpclipError(
            f"{where} lacks the setting 'pretrained': a pretrained tag of open_clip or the path "
            "of a checkpoint."
        )
    if is_checkpoint(pretrained) and not Path(pretrained).is_file():
        raise LpclipError(f"{where}.pretrained: the file '{pretrained}' does not exist.")


@cache
def architectures() -> tuple[str, ...]:
    """Return the names of all architectures without importing open_clip, which takes seconds."""
    folder = package_folder("open_clip") / "model_configs"
    return (tiny.ARCHITECTURE, *sorted(path.stem for path in folder.glob("*.json")))


def _check_folder(where: str, folder: Path) -> None:
    if not (folder / "open_clip_config.json").is_file() and not is_transformers_clip(folder):
        raise LpclipError(
            f"{where}.architecture: the folder '{folder}' holds no open_clip_config.json, nor the "
            "config.json of a CLIP of transformers'. Give the folder of a model that open_clip "
            "saved (configuration, weights and, where it has one, tokenizer) or transformers "
            "(config.json and model.safetensors)."
        )
