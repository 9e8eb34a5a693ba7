"""QuickGELU and preprocessing from open_clip's registry of published weights.

A checkpoint file states neither the activation of its model nor the preprocessing of its images; a
wrong choice of either would go unnoticed.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import open_clip

from lpclip.errors import LpclipError, did_you_mean
from lpclip.models.spec import FOLDER, HUB, ModelSpec, is_checkpoint

log = logging.getLogger(__name__)

Published = Mapping[str, Mapping[str, Any]]

_QUICK = "-quickgelu"
_PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")


def published(architecture: str) -> Published:
    """Return the settings of the published weights of an architecture, by tag."""
    # A name that ends in -quickgelu lists only the tags that were trained with it.
    base = architecture.removesuffix(_QUICK)
    tags = open_clip.list_pretrained_tags_by_model(base)
    return {tag: open_clip.get_pretrained_cfg(base, tag) for tag in tags}


def check_weights(spec: ModelSpec, known: Published) -> None:
    """Refuse weights that are neither a tag nor a file, or were trained with another activation.

    Whether a file was trained with QuickGELU is inferred from a tag in its path;
    ``force_quick_gelu`` overrides it.

    Raises:
        LpclipError: no such tag or file, or one with the other activation.
    """
    is_tag = open_clip.is_pretrained_cfg(spec.architecture, spec.pretrained)
    if not is_tag and not is_checkpoint(spec.pretrained):
        raise LpclipError(
            f"Model '{spec.name}': open_clip has no weights '{spec.pretrained}' of "
            f"{spec.architecture}, and there is no such file. "
            f"{did_you_mean(spec.pretrained, known)}"
        )
    if not is_tag and not Path(spec.pretrained).is_file():
        raise LpclipError(f"Model '{spec.name}': the file '{spec.pretrained}' does not exist.")
    if not is_tag and spec.force_quick_gelu is not None:
        return
    quick = bool(open_clip.get_model_config(spec.architecture).get("quick_gelu"))
    quick = quick or bool(spec.force_quick_gelu)
    tag = _tag_in(spec.pretrained, known)
    trained = bool(known.get(tag or "", {}).get("quick_gelu"))
    if tag is not None and trained != quick:
        remove = "Remove force_quick_gelu, or '-quickgelu' from the architecture"
        do = "Set force_quick_gelu: true" if trained else remove
        unless = "" if is_tag else ", or force_quick_gelu: false if the file's name misleads"
        raise LpclipError(
            f"Model '{spec.name}': '{spec.pretrained}' are weights '{tag}', which were trained "
            f"with{'' if trained else 'out'} QuickGELU, but the model is built "
            f"with{'' if quick else 'out'} it and would be silently wrong. {do}{unless}."
        )


def check_activation(spec: ModelSpec, where: str, clip: Any, trained: bool | None) -> None:
    """Refuse a model with another activation than its checkpoint states; warn if it states none.

    ``trained``: whether it states QuickGELU; None if neither. ``force_quick_gelu`` overrides this.
    """
    if spec.force_quick_gelu is not None:
        return
    built = any(type(module).__name__ == "QuickGELU" for module in clip.modules())
    if trained is not None and trained != built:
        raise LpclipError(
            f"{where} was trained with{'' if trained else 'out'} QuickGELU, but the model is built "
            f"with{'' if built else 'out'} it and would be silently wrong. "
            f"Set force_quick_gelu: {str(trained).lower()}"
            f"{'' if trained else ', and remove -quickgelu from the architecture'}."
        )
    if trained is not None or built or spec.architecture.startswith((HUB, FOLDER)):
        return
    known = published(spec.architecture)
    quick = sorted(name for name, settings in known.items() if settings.get("quick_gelu"))
    if quick and _tag_in(spec.pretrained, known) is None:
        log.warning(
            "model '%s': if '%s' was trained with QuickGELU, as %s were, set force_quick_gelu: "
            "true; if not, false",
            spec.name,
            spec.pretrained,
            ", ".join(quick),
        )


def preprocessing(spec: ModelSpec, known: Published) -> dict[str, Any]:
    """Return the preprocessing for a checkpoint file: mean, std, interpolation, resize mode.

    It is that of the published weights whose tag is in the path, or that of all published weights
    of the architecture if they agree; else, with a warning, open_clip's default (empty).
    """
    tag = _tag_in(spec.pretrained, known)
    ways = [
        {key: settings[key] for key in _PREPROCESSING if key in settings}
        for name, settings in known.items()
        if tag in (None, name)
    ]
    if any(way != ways[0] for way in ways):
        log.warning(
            "model '%s': published weights of %s differ in how images are prepared; '%s' is taken "
            "for one of those with open_clip's default. Name the file after its tag to change that",
            spec.name,
            spec.architecture,
            spec.pretrained,
        )
        return {}
    return ways[0] if ways else {}


def _tag_in(pretrained: str, known: Published) -> str | None:
    """Return the longest tag that a tag or a file path contains."""
    text = pretrained.lower().replace("-", "_")
    return max((tag for tag in known if tag in text), key=len, default=None)
