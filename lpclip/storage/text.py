"""Text caches: the features of the class names, which are the zero-shot head."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lpclip import cache
from lpclip.storage.pandas_frames import Frames, fixed_length
from lpclip.types import FloatArray


def write_text(
    path: Path,
    *,
    features: FloatArray,
    class_names: Sequence[str],
    provenance: cache.Provenance,
) -> None:
    """Store text features: ``features``, their frame by class name, and the table ``classes``.

    Args:
        path: the text cache.
        features: ``[C, D]`` float32, of unit length.
        class_names: C names.
        provenance: attributes, among them the model's ``scale`` and ``bias``.
    """
    with cache.create(path, kind="text", provenance=provenance) as file:
        file["features"] = features
        names = pd.DataFrame(
            {"class_index": np.arange(len(class_names), dtype=np.int32), "name": list(class_names)}
        )
        cache.write_table(file, "classes", names, listed=False)
        Frames(file, fixed_length(class_names)).add("features", file["features"])
