"""Feature caches and other layouts compared with NumPy's files: write, read all, random rows.

    python benchmarks/speed/caches.py

Writes ``results/caches.csv``. The first row is NumPy's file, the second a cache written by lpclip,
with the layout of the third; the rest are alternative layouts.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
from measure import seconds_of, write

from lpclip import map_features
from lpclip.storage.features import CHUNK_ROWS, normalise, read_features, write_features

Features = npt.NDArray[np.float16]

LAYOUTS: dict[str, dict[str, Any]] = {
    "one piece": {},
    "chunks of 256 rows": {"chunks": 256},
    "chunks of 4096 rows": {"chunks": 4096},
    "256 rows, lzf": {"chunks": 256, "shuffle": True, "compression": "lzf"},
    "256 rows, gzip 1": {
        "chunks": 256,
        "shuffle": True,
        "compression": "gzip",
        "compression_opts": 1,
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument(
        "--batches", type=int, default=1000, help="batches of random rows, contiguous layout"
    )
    parser.add_argument("--batch-size", type=int, default=4096)
    parser.add_argument("--folder", type=Path, help="folder for the files (default: temporary)")
    options = parser.parse_args()
    values = np.random.default_rng(0).standard_normal((options.rows, options.dim))
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        rows = measure(
            Path(folder),
            (values / options.dim**0.5).astype(np.float16),
            batches=options.batches,
            batch_size=options.batch_size,
        )
    write(rows, "caches")


def measure(
    folder: Path, features: Features, *, batches: int, batch_size: int
) -> list[dict[str, Any]]:
    """Return one row per layout; ratios are NumPy's seconds over those of the layout."""
    numpy_file, own = folder / "features.npy", folder / "lpclip.h5"
    files = {name: folder / f"{number}.h5" for number, name in enumerate(LAYOUTS)}
    writing: dict[str, Callable[[], object]] = {"numpy": partial(save, numpy_file, features)}
    reading: dict[str, Callable[[], object]] = {"numpy": partial(np.load, numpy_file)}
    reading["lpclip"] = partial(read_whole, own)
    # With an index of ids and paths, and synced to disk.
    names = [f"{number:08d}" for number in range(len(features))]
    samples = pd.DataFrame({"id": names, "path": names})
    whole = seconds_of(
        {
            "numpy": partial(save_durably, numpy_file, features, samples),
            "lpclip": partial(write_cache, own, features, samples),
        }
    )
    for name, settings in LAYOUTS.items():
        writing[name] = partial(write_layout, files[name], features, **settings)
        reading[name] = partial(read_whole, files[name])
    written, read = seconds_of(writing), seconds_of(reading, repeats=15)

    draw = np.random.default_rng(0)
    chosen = [draw.integers(0, len(features), batch_size) for _ in range(batches)]
    mapped = seconds_of(
        {
            "numpy": lambda: take(np.load(numpy_file, mmap_mode="r"), chosen),
            "lpclip": lambda: take(map_features(own), chosen),
        },
        repeats=5,
    )
    # With HDF5's own selection, which needs sorted, unique rows; a few batches.
    few = [np.unique(one) for one in chosen[:5]]
    selected = seconds_of(
        {name: partial(take_from_file, path, few) for name, path in files.items()}, repeats=3
    )
    batch = {name: seconds / len(few) for name, seconds in selected.items()}
    batch |= {name: seconds / batches for name, seconds in mapped.items()}

    # As the stages read features: single precision, unit length; by NumPy, all at once.
    stage = seconds_of(
        {
            "numpy": lambda: normalise(np.load(numpy_file).astype(np.float32)),
            "lpclip": lambda: read_features(own, "clean", expected={}),
        }
    )
    size = {"numpy": numpy_file, "lpclip": own, **files}
    return [
        {
            "layout": name,
            "megabytes": size[name].stat().st_size / 1e6,
            "write_s": written.get(name, np.nan),
            "write_ratio": written["numpy"] / written.get(name, np.nan),
            "read_s": read[name],
            "read_ratio": read["numpy"] / read[name],
            "batch_ms": 1000 * batch[name],
            "batch_ratio": batch["numpy"] / batch[name],
            "write_with_index_s": whole.get(name, np.nan),
            "read_unit_length_s": stage.get(name, np.nan),
        }
        for name in reading
    ]


def write_cache(path: Path, features: Features, samples: pd.DataFrame) -> None:
    """Write in parts as small as those of the extraction."""
    starts = range(0, len(features), CHUNK_ROWS)
    write_features(
        path,
        samples=samples,
        versions={"clean": 0},
        parts=(features[None, start : start + CHUNK_ROWS] for start in starts),
        provenance={},
    )


def save(path: Path, features: Features) -> None:
    """Write a new file, as all writers here: truncating an old one takes as long as writing."""
    path.unlink(missing_ok=True)
    np.save(path, features)


def save_durably(path: Path, features: Features, samples: pd.DataFrame) -> None:
    for name, values in {
        "": features,
        ".id": np.array(samples["id"], dtype="S"),
        ".path": np.array(samples["path"], dtype="S"),
    }.items():
        copy = path.with_name(f"durable{name}.npy")
        copy.unlink(missing_ok=True)
        with copy.open("wb") as file:
            np.save(file, values)
            file.flush()
            os.fsync(file.fileno())


def write_layout(path: Path, features: Features, chunks: int = 0, **settings: Any) -> None:
    """Write only the features, in parts as large as those that lpclip writes."""
    path.unlink(missing_ok=True)
    with h5py.File(path, "w") as file:
        shape = (min(chunks, len(features)), features.shape[1]) if chunks else None
        data = file.create_dataset(
            "features/clean", features.shape, features.dtype, chunks=shape, **settings
        )
        for start in range(0, len(features), 4096):
            data[start : start + 4096] = features[start : start + 4096]


def read_whole(path: Path) -> Features:
    with h5py.File(path) as file:
        features: Features = file["features/clean"][...]
        return features


def take(features: Features, chosen: list[npt.NDArray[np.int64]]) -> None:
    for rows in chosen:
        np.asarray(features[rows])


def take_from_file(path: Path, chosen: list[npt.NDArray[np.int64]]) -> None:
    with h5py.File(path) as file:
        for rows in chosen:
            file["features/clean"][rows]


if __name__ == "__main__":
    main()
