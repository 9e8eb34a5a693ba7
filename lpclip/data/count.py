"""Count the images of an index, so that the workflow can divide a large dataset into shards."""

import json
from pathlib import Path

from lpclip.storage.samples import count_rows
from lpclip.types import OutputFile
from lpclip.utils.atomic import atomic_path


def count_samples(*, samples: Path, output: OutputFile) -> None:
    """Write how many images an index lists.

    Args:
        samples: index of the dataset; its labels are not read.
        output: a JSON object, ``{"samples": N}``.
    """
    with atomic_path(output) as path:
        path.write_text(json.dumps({"samples": count_rows(samples)}) + "\n")
