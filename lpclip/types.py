"""Names for the types that appear in signatures: arrays, and paths that a stage writes."""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
IntArray: TypeAlias = npt.NDArray[np.integer[Any]]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

# A file that a stage reads and replaces by what it makes of it; it is no part of the record.
ConsumedFile: TypeAlias = Annotated[Path, "consumed file"]

# Checked by the command line before the stage works.
OutputFile: TypeAlias = Annotated[Path, "output file"]
OutputFolder: TypeAlias = Annotated[Path, "output folder"]

# Shifts of ImageNet with a published fit of accuracies, see lpclip.metrics.effective.
PublishedShift: TypeAlias = Literal["imagenet_v2", "imagenet_sketch", "imagenet_r", "objectnet"]
