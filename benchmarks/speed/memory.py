"""Peak memory of an extraction by the number of images.

    python benchmarks/speed/memory.py
    python benchmarks/speed/memory.py --images --listed 1000000 3000000 --name memory_listed

Images are 4 x 4 pixels from a ``.npy`` file and the encoder is one matrix, so only the memory that
lpclip needs for a set of this length remains. Each stage runs in its own process, as in the
workflow. Writes ``results/memory.csv``: peak resident memory of the process and images per second.

``--listed`` indexes files that are only listed, with ids and paths as long as ImageNet's.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from measure import peak_of, run_stage, write

SIDE, DIM = 4, 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--images", type=int, nargs="*", default=[1_000, 1_000_000])
    parser.add_argument("--listed", type=int, nargs="*", default=[])
    parser.add_argument("--name", default="memory", help="of the table of results")
    parser.add_argument("--stage", choices=STAGES | LISTED, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        run_stage((STAGES | LISTED)[options.stage], options.work)
        return
    rows: list[dict[str, Any]] = []
    for count in (*options.images, *options.listed):
        is_listed = count in options.listed
        with tempfile.TemporaryDirectory() as folder:
            if is_listed:
                (Path(folder) / "count").write_text(str(count))
            else:
                draw(Path(folder) / "images.npy", count)
            for stage in LISTED if is_listed else STAGES:
                peak, seconds, _ = peak_of(__file__, stage, folder)
                rows.append(
                    {
                        "stage": stage,
                        "images": count,
                        "peak_gb": peak,
                        "images_per_second": count / seconds,
                    }
                )
    write(rows, options.name)


def draw(path: Path, count: int) -> None:
    """Write noise images, block by block."""
    rng = np.random.default_rng(0)
    images = np.lib.format.open_memmap(path, "w+", np.uint8, (count, SIDE, SIDE, 3))
    for start in range(0, count, 100_000):
        block = images[start : start + 100_000]
        block[:] = rng.integers(0, 256, block.shape, dtype=np.uint8)
    images.flush()


def index(work: Path) -> None:
    """Run the stage ``index_samples``."""
    from lpclip.data.index import index_samples

    index_samples(output=work / "samples.h5", dataset="noise", source=source(work))


def index_listed(work: Path) -> None:
    """Run the stage ``index_samples`` on files that are not there."""
    from lpclip.data.base import Sample
    from lpclip.data.index import index_samples
    from lpclip.data.listing import Listing

    names = [f"n{number:08d}" for number in range(1000)]
    count = int((work / "count").read_text())

    def listed() -> Iterator[Sample]:
        for row in range(count):
            label = row * len(names) // count
            name = f"{names[label]}/{names[label]}_{row}.JPEG"
            yield Sample(name, "", label)

    source = SimpleNamespace(
        class_names=names,
        samples=lambda: Listing(listed(), prefix="/data/imagenet/ILSVRC/Data/CLS-LOC/train/"),
        size=lambda _: 110_000,
    )
    index_samples.__globals__["open_dataset"] = lambda *_: source
    folder = {"kind": "folder", "root": str(work)}
    index_samples(output=work / "samples.h5", dataset="listed", source=folder)


def embed(work: Path) -> None:
    """Run the stage ``embed_images``, with a matrix as the model."""
    import torch

    from lpclip.features.images import embed_images
    from lpclip.models.malloc import keep_freed_memory

    keep_freed_memory()  # as ``load_model`` does
    draw = torch.Generator().manual_seed(0)
    matrix = torch.randn(3 * SIDE * SIDE, DIM, generator=draw)
    model = SimpleNamespace(
        spec=SimpleNamespace(name="matrix"),
        device=torch.device("cpu"),
        image_size=SIDE,
        prepare=lambda image: image,
        resampling=None,
        features=lambda pixels: pixels.flatten(1).float() @ matrix,
        check=lambda _: None,
        provenance={"model": "matrix", "weights": "0"},
    )
    embed_images.__globals__["load_model"] = lambda *_, **__: model
    embed_images(
        samples=work / "samples.h5",
        output=work / "features.h5",
        dataset="noise",
        source=source(work),
        model=model.spec,
        views={"clean": {}},
    )


def source(work: Path) -> dict[str, str]:
    """Return the images as a source of lpclip."""
    return {"kind": "arrays", "path": str(work / "images.npy")}


STAGES = {"index_samples": index, "embed_images": embed}
LISTED = {"index_samples, listed": index_listed}

if __name__ == "__main__":
    main()
