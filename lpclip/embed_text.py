"""Text features of the class names: the weights of the zero-shot head."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import torch

from lpclip import cache
from lpclip.model_spec import ModelSpec
from lpclip.models import load_model

log = logging.getLogger(__name__)


def embed_text(
    *,
    output: Path,
    model: ModelSpec,
    class_names: Sequence[str],
    templates: Sequence[str],
    device: str = "auto",
) -> None:
    """Write one unit vector per class: the mean over templates of unit vectors, normalised again.

    Args:
        output: text cache: ``features`` float32 ``[C, D]``, table ``classes``, and the scale and
            bias that turn cosines into the model's logits.
        model: the CLIP model.
        class_names: C names, as they stand in a sentence.
        templates: sentences with ``{}`` in the place of the name.
        device: ``auto``, or a name that torch knows.
    """
    loaded = load_model(model, device=device)
    # The rounding of the text tower depends on the number of threads, and so would every result.
    torch.set_num_threads(1)
    weights = open_clip.build_zero_shot_classifier(
        loaded.clip, loaded.tokenizer, list(class_names), list(templates), device=loaded.device
    )
    provenance = {
        **loaded.provenance,
        "templates": json.dumps(list(templates)),
        "scale": loaded.scale,
        "bias": loaded.bias,
    }
    with cache.create(output, kind="text", provenance=provenance) as file:
        file["features"] = weights.T.float().cpu().numpy().astype(np.float32)
        names = pd.DataFrame(
            {"class_index": np.arange(len(class_names), dtype=np.int32), "name": list(class_names)}
        )
        cache.write_table(file, "classes", names)
    log.info("embedded %d class names with %d templates", len(class_names), len(templates))
