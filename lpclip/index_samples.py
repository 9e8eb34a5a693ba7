"""The index of a dataset: which images there are, in the order that everything after it keeps."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lpclip import cache
from lpclip.data import open_source
from lpclip.errors import LpclipError

log = logging.getLogger(__name__)


def index_samples(*, output: Path, dataset: str, source: Mapping[str, Any]) -> None:
    """Write id, path and label of every image of a dataset.

    Args:
        output: the index, ``samples.h5``; the only file of the workflow that holds labels.
        dataset: name of the dataset.
        source: ``kind`` and the settings of that kind of image source.

    Raises:
        LpclipError: the source refuses its settings, is empty, or repeats an id.
    """
    settings = dict(source)
    opened = open_source(settings.pop("kind"), settings)
    samples = pd.DataFrame(opened.samples(), columns=["id", "path", "label"])
    if samples.empty:
        raise LpclipError(f"Dataset '{dataset}' has no images.")
    repeated = samples["id"][samples["id"].duplicated()]
    if len(repeated):
        raise LpclipError(f"Dataset '{dataset}' has two images with the id '{repeated.iloc[0]}'.")
    samples["label"] = samples["label"].astype(np.int32)
    names = opened.class_names
    provenance = {
        "dataset": dataset,
        "source": json.dumps(dict(source), sort_keys=True),
        "class_names": json.dumps(None if names is None else list(names)),
        "index": cache.fingerprint(samples),
    }
    with cache.create(output, kind="samples", provenance=provenance) as file:
        cache.write_table(file, "samples", samples)
    log.info("indexed %d images of %s", len(samples), dataset)
