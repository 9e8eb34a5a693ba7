"""Open arrays of other programs by key: features, ids, labels, class names.

``.npy``, ``.npz``, ``.parquet``, ``.safetensors``, ``.pt`` of tensors, ``.csv``, HDF5 files, those
including those of lpclip, and an output folder of clip-retrieval. Names and shapes are available
without reading an array, and nothing is ever unpickled.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from lpclip.errors import LpclipError, did_you_mean
from lpclip.storage.arrays.base import Arrays, readable
from lpclip.storage.arrays.clip_retrieval import ClipRetrieval
from lpclip.storage.arrays.formats import Hdf5, Npy, Npz, Safetensors, Torch
from lpclip.storage.arrays.lpclip_files import Lpclip
from lpclip.storage.arrays.tables import Csv, Parquet
from lpclip.storage.opening import open_plain

# Arrays that are preferred as features if no key is given and several would fit.
IMAGE_KEYS = ("clean", "img_emb")
TEXT_KEYS = ("features", "text_emb")


def _open_hdf5(path: Path) -> Arrays:
    with readable(path), open_plain(path) as file:
        own = {"kind", "schema_version"} <= set(file.attrs)
    return Lpclip(path) if own else Hdf5(path)


_FORMATS: Mapping[str, Callable[[Path], Arrays]] = {
    ".npy": Npy,
    ".npz": Npz,
    ".parquet": Parquet,
    ".safetensors": Safetensors,
    ".pt": Torch,
    ".pth": Torch,
    ".csv": Csv,
    ".tsv": Csv,
    ".h5": _open_hdf5,
    ".hdf5": _open_hdf5,
}
_COMPRESSED = (".gz", ".bz2", ".xz")


def open_arrays(path: str | Path) -> Arrays:
    """Open a file or folder of arrays, by its suffix.

    Raises:
        LpclipError: it does not exist, has an unknown suffix, or is broken.
    """
    path = Path(path)
    if path.is_dir():
        return ClipRetrieval(path)
    if not path.is_file():
        raise LpclipError(f"the file or folder '{path}' does not exist. Check 'path'.")
    ending = path.suffix.lower()
    if ending in _COMPRESSED and (inner := Path(path.stem).suffix.lower()) in (".csv", ".tsv"):
        ending = inner
    if ending not in _FORMATS:
        raise LpclipError(
            f"{path} has no suffix of a known format. {did_you_mean(path.suffix, _FORMATS)}"
        )
    return _FORMATS[ending](path)
