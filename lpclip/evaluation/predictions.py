"""Gather the predictions of all experiments into one file that pandas opens."""

from collections.abc import Sequence
from pathlib import Path

from lpclip.storage.predictions import gather_predictions
from lpclip.types import OutputFile


def predictions(*, parts: Sequence[Path], output: OutputFile) -> None:
    """Write one table per experiment: ``{model}/{benchmark}/{method}/seed_{seed}``.

    Args:
        parts: files of ``lpclip evaluate-samples``, one per model, benchmark and method.
        output: HDF5 file; ``pandas.read_hdf(output, "tiny/digits/lp_clip/seed_0")`` has a row per
            clean test image: id, label (-1 for none), prediction and confidence. The class names
            that the numbers index are an attribute of the group of the method.
    """
    gather_predictions(parts, output)
