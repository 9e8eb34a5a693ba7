"""Speed-up of an extraction in shards, and what the join costs.

    python benchmarks/speed/shards.py

The encoder of the first part waits 20 ms per batch, so that several jobs show their speed-up on few
cores: 16 shards, 1 to 8 jobs at once, each a process. Batches of 32 are about the rate of ViT-B/32
on a GPU, of 8 that of ViT-L/14; decoding is the processor's own.
The time of a job is that of its stage, without the start of Python. The second part joins shards of
random features as wide as ViT-B/32's. Writes ``results/shards.csv``: seconds, images per second,
``of_linear`` (speed-up over one job, divided by the number of jobs) and, of the join,
``of_extraction`` (its time by that of the fastest extraction with ViT-B/32 in
results/extraction_gpu.csv, per view).
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch
from measure import RESULTS, machine, write

from lpclip.data.index import index_samples
from lpclip.features.images import embed_images
from lpclip.storage.features import write_features
from lpclip.storage.shards import join_shards, range_of

SIDE, DIM, WAIT = 4, 512, 0.02
N_SHARDS = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--images", type=int, default=40_960, help="of the extraction")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--joined", type=int, default=512_000, help="images of the join")
    options = parser.parse_args()
    rows = list[dict[str, Any]]()
    for batch in options.batches:
        rows += extractions(options.images, options.jobs, batch)
    rows += [join(options.joined, versions) for versions in (1, 9)]
    write([{**row, "machine": machine()} for row in rows], "shards")


def extractions(n: int, numbers: list[int], batch: int) -> list[dict[str, Any]]:
    """Time an extraction by several numbers of jobs; check that all join to the same bytes."""
    rows, seconds, contents = list[dict[str, Any]](), 0.0, set[bytes]()
    cuts = [*range(0, n, n // N_SHARDS), n]
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = np.random.default_rng(0).integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8)
        np.save(folder / "images.npy", images)
        index_samples(output=folder / "samples.h5", dataset="noise", source=source(folder))
        for jobs in numbers:
            shards = [folder / f"{jobs}/{start:09d}.h5" for start in cuts[:-1]]
            given = [
                (arguments(folder, path, batch), cut)
                for path, cut in zip(shards, pairwise(cuts), strict=True)
            ]
            # Forked: they have imported everything already.
            with get_context("fork").Pool(jobs) as pool:
                start = time.perf_counter()
                pool.map(embed, given, chunksize=1)
                taken = time.perf_counter() - start
            output = folder / f"{jobs}.h5"
            embed_images(**arguments(folder, output, batch), shards=shards)
            contents.add(output.read_bytes())
            seconds = seconds or taken * jobs
            rows.append(
                {
                    "part": "extraction",
                    "jobs": jobs,
                    "batch": batch,
                    "images": n,
                    "views": 1,
                    "seconds": taken,
                    "images_per_second": n / taken,
                    "of_linear": seconds / (taken * jobs),
                }
            )
    assert len(contents) == 1, "another number of jobs changed the bytes"
    return rows


def embed(given: tuple[dict[str, Any], tuple[int, int]]) -> None:
    """Run one shard's job with an encoder that waits."""
    settings, rows = given
    torch.set_num_threads(1)
    embed_images.__globals__["load_model"] = lambda *_, **__: model()
    embed_images(**settings, rows=rows)


def arguments(folder: Path, output: Path, batch: int) -> dict[str, Any]:
    """Return the arguments of the stage that all its jobs have."""
    return {
        "samples": folder / "samples.h5",
        "output": output,
        "dataset": "noise",
        "source": source(folder),
        "model": model().spec,
        "views": {"clean": {}},
        "batch_size": batch,
    }


def source(folder: Path) -> dict[str, str]:
    """Return the images as a source of lpclip."""
    return {"kind": "arrays", "path": str(folder / "images.npy")}


def model() -> Any:
    """Return an encoder that waits as if for a GPU."""
    draw = torch.Generator().manual_seed(0)
    matrix = torch.randn(3 * SIDE * SIDE, DIM, generator=draw)

    def features(pixels: torch.Tensor) -> torch.Tensor:
        time.sleep(WAIT)
        return pixels.flatten(1).float() @ matrix

    return SimpleNamespace(
        spec=SimpleNamespace(name="matrix"),
        device=torch.device("cpu"),
        image_size=SIDE,
        prepare=lambda image: image,
        resampling=None,
        features=features,
        check=lambda _: None,
        provenance={"model": "matrix", "weights": "0"},
    )


def join(n: int, versions: int) -> dict[str, Any]:
    """Time the join of shards of random features."""
    samples = pd.DataFrame({"id": [f"{row:09d}.jpeg" for row in range(n)], "path": "images/x.jpeg"})
    cuts, views = [*range(0, n, 20_480), n], {"weak": versions}
    noise = np.random.default_rng(0).normal(size=(versions, 20_480, DIM)).astype(np.float16)
    with tempfile.TemporaryDirectory() as name:
        shards = []
        for start, stop in pairwise(cuts):
            shards.append(Path(name) / f"shards/{start:09d}.h5")
            write_features(
                shards[-1],
                samples=samples[start:stop],
                versions=views,
                parts=[noise[:, : stop - start]],
                provenance={"model": "matrix", **range_of(range(start, stop))},
            )
        taken = seconds_of(
            lambda: join_shards(
                Path(name) / "f.h5", shards, samples=samples, views=list(views), expected={}
            )
        )
    return {
        "part": "join",
        "jobs": 1,
        "images": n,
        "views": versions,
        "seconds": taken,
        "images_per_second": n / taken,
        # Views are encoded one by one, so an image takes as many times longer.
        "of_extraction": taken / (n * versions / gpu_rate()),
    }


def seconds_of(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def gpu_rate() -> float:
    """Return the images per second of the fastest measured extraction with ViT-B/32."""
    table = pd.read_csv(RESULTS / "extraction_gpu.csv")
    found = table[(table["model"] == "ViT-B-32") & table["what"].str.startswith("lpclip")]
    return float(found["images_per_second"].max())


if __name__ == "__main__":
    main()
