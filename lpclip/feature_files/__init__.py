"""Arrays that other programs wrote, picked by key: features, ids, labels, class names.

``.npy``, ``.npz``, ``.parquet``, ``.safetensors``, an output folder of clip-retrieval, and the
HDF5 files of lpclip itself. Names and shapes are known before an array is read, and nothing is
ever unpickled.
"""

from collections.abc import Mapping
from pathlib import Path

from lpclip.errors import LpclipError, did_you_mean
from lpclip.feature_files.arrays import AnyArray, Arrays
from lpclip.feature_files.formats import Npy, Npz, Parquet, Safetensors
from lpclip.feature_files.own import Lpclip
from lpclip.feature_files.parts import ClipRetrieval

__all__ = ["IMAGE_KEYS", "TEXT_KEYS", "AnyArray", "Arrays", "open_arrays"]

# Arrays that are taken for the features where no key is given and several arrays would do.
IMAGE_KEYS = ("clean", "img_emb")
TEXT_KEYS = ("features", "text_emb")

_FORMATS: Mapping[str, type[Arrays]] = {
    ".npy": Npy,
    ".npz": Npz,
    ".parquet": Parquet,
    ".safetensors": Safetensors,
    ".h5": Lpclip,
}


def open_arrays(path: str | Path) -> Arrays:
    """The arrays of a file or folder, by the ending of its name.

    Raises:
        LpclipError: it does not exist, has an unknown ending, or is broken.
    """
    path = Path(path)
    if path.is_dir():
        return ClipRetrieval(path)
    if not path.is_file():
        raise LpclipError(f"the file or folder '{path}' does not exist. Check 'path'.")
    if path.suffix.lower() not in _FORMATS:
        raise LpclipError(
            f"{path} has no ending that tells its format. {did_you_mean(path.suffix, _FORMATS)}"
        )
    return _FORMATS[path.suffix.lower()](path)
