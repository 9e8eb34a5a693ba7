"""Gathers the predictions of all experiments into one file that pandas opens."""

from collections.abc import Sequence
from pathlib import Path

from lpclip.storage.hdf5 import create, open_file, read_provenance
from lpclip.types import OutputFile


def predictions(*, parts: Sequence[Path], output: OutputFile) -> None:
    """Write one table per experiment: ``{model}/{benchmark}/{method}/seed_{seed}``.

    Args:
        parts: files of ``lpclip evaluate-samples``, one per model, benchmark and method.
        output: HDF5 file; ``pandas.read_hdf(output, "tiny/digits/lp_clip/seed_0")`` has a row per
            clean test image: id, label (-1 for none), prediction and confidence. The class names
            that the numbers index are an attribute of the group of the method.
    """
    with create(output, kind="predictions", provenance={"experiments": len(parts)}) as file:
        for part in parts:
            found = read_provenance(part, kind="predictions")
            group = file.create_group("/".join(str(found[k]) for k in _NAMES))
            for key in ("class_names", "dataset", "index", "weights"):
                group.attrs[key] = found[key]
            with open_file(part, kind="predictions") as source:
                for name in sorted(source):
                    source.copy(name, group)


_NAMES = ("model", "benchmark", "method")
