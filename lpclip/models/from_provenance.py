"""Load the CLIP model that a probes file was trained on, from its provenance."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lpclip.errors import LpclipError
from lpclip.models.spec import PRECOMPUTED, ModelSpec

if TYPE_CHECKING:
    from lpclip.models.clip import Model


def load_encoder(
    probes: Path, provenance: Mapping[str, Any], *, checkpoint: Path | None, device: str
) -> "Model":
    """Load the model whose features probes were trained on, by their provenance.

    A checkpoint takes the place of the weights in the provenance.

    Raises:
        LpclipError: it cannot be loaded, or is not the same model.
    """
    from lpclip.models.clip import load_model  # imports torch, which caches do not need

    missing = [key for key in ("architecture", "pretrained", "weights") if key not in provenance]
    if missing:
        raise LpclipError(f"{probes} does not state which model it needs: it lacks {missing[0]}.")
    name, expected = provenance["model"], provenance["weights"]
    if expected == PRECOMPUTED or (provenance["pretrained"] == PRECOMPUTED and not checkpoint):
        raise LpclipError(
            f"{probes} was trained on precomputed features, of a model without known "
            "weights. Give a feature cache (.h5) in place of images"
            + (", or its weights as --model-checkpoint." if expected != PRECOMPUTED else ".")
        )
    pretrained = str(checkpoint or provenance["pretrained"])
    spec = ModelSpec(
        name,
        provenance["architecture"],
        pretrained,
        force_quick_gelu=bool(provenance.get("force_quick_gelu")),
        image_size=int(provenance.get("force_image_size", 0)) or None,
    )
    try:
        model = load_model(spec, device=device)
    except LpclipError as error:
        raise LpclipError(f"{error} --model-checkpoint names a file of these weights.") from error
    if model.weights != expected:
        raise LpclipError(
            f"{probes} was trained on features of the weights {expected} of model '{name}' "
            f"({provenance['architecture']}), but {pretrained or 'the hub'} holds "
            f"{model.weights}. Give the file of those weights as --model-checkpoint."
        )
    was, now = json.loads(provenance.get("preprocessing", "{}")), json.loads(model.preprocessing)
    for key in was.keys() & now.keys():
        if was[key] != now[key]:
            raise LpclipError(
                f"{probes} was trained on images prepared with {key} {was[key]}, but the model "
                f"takes {now[key]}."
            )
    return model
