"""Compare features of the same photographs from a folder, from tar shards and from arrays.

    python benchmarks/sources.py --images cifar10-jpeg  # has train/{class}/*.jpg and test/

Makes a checkpoint of a small published architecture (random weights: accuracy does not matter
here), packs the images as webdataset shards and as arrays, and runs the whole workflow on all
three. Their clean features must be bit-identical.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import open_clip
import pandas as pd
import torch
import webdataset
import yaml
from PIL import Image
from safetensors.torch import save_file
from tqdm import tqdm

RESULTS = Path(__file__).parent / "results"
REPOSITORY = Path(__file__).parents[1]
ARCHITECTURE, IMAGE_SIZE = "ViT-S-32-alt", 64
KINDS = ("folder", "webdataset", "arrays")
VIEWS = {"weak": {"versions": 1}, "strong": {"versions": 1}}
ADAPT = 5000  # images in the adapt set; all images are embedded and tested on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--images", type=Path, required=True, help="folder with train/ and test/")
    parser.add_argument("--work", type=Path, default=REPOSITORY / "cache/sources")
    parser.add_argument("--cores", default="all")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    make_checkpoint(options.work / "weights.safetensors")
    for part in ("train", "test"):
        pack(options.images / part, options.work / part)
    names = sorted(path.name for path in (options.images / "test").iterdir())
    config = configuration(options.images.resolve(), names)
    (options.work / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    start = time.perf_counter()
    command = ["-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")]
    command += ["--directory", str(options.work), "--configfile", "config.yaml"]
    command += ["--cores", options.cores, "--", "results/report.csv"]
    subprocess.run([sys.executable, *command], check=True, cwd=options.work)
    minutes = (time.perf_counter() - start) / 60
    found = pd.DataFrame(compare(options.work))
    found["minutes_of_all"] = minutes
    RESULTS.mkdir(exist_ok=True)
    found.to_csv(RESULTS / "sources.csv", index=False, float_format="%.1f")
    print(found.to_string(index=False))


def make_checkpoint(path: Path) -> None:
    """Write random weights, always the same."""
    torch.manual_seed(0)
    model = open_clip.create_model(ARCHITECTURE, pretrained=None, force_image_size=IMAGE_SIZE)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)


def pack(folder: Path, output: Path, *, per_shard: int = 5000) -> None:
    """Write a folder's images as shards, ``{output}-00000.tar``, …, and as arrays with labels."""
    files = sorted(folder.glob("*/*.jpg"))
    labels = [path.parent.name for path in files]
    pixels = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in tqdm(files)])
    np.savez(f"{output}.npz", images=pixels, labels=np.array(labels))
    pattern = f"{output}-%05d.tar"
    with webdataset.ShardWriter(pattern, maxcount=per_shard, verbose=0) as shards:
        for row, (path, label) in enumerate(zip(files, labels, strict=True)):
            shards.write({"__key__": f"{row:06d}", "jpg": path.read_bytes(), "cls": label})


def configuration(images: Path, names: list[str]) -> dict[str, Any]:
    """Return a configuration with one benchmark per kind of source."""
    datasets: dict[str, Any] = {}
    for part in ("train", "test"):
        sources = {
            "folder": {"root": str(images / part)},
            "webdataset": {"shards": f"{part}-*.tar", "label": "cls", "class_names": names},
            "arrays": {"path": f"{part}.npz", "key": "images", "labels": "labels"},
        }
        for kind in KINDS:
            source = {"kind": kind, **sources[kind]}
            datasets[f"{part}-{kind}"] = {"source": source}
            if part == "train":
                datasets[f"adapt-{kind}"] = {"source": source, "limit": ADAPT, "views": VIEWS}
    benchmarks = {
        kind: {
            "class_names": names,
            "templates": ["a photo of a {}."],
            "adapt": f"adapt-{kind}",
            "test": f"test-{kind}",
            "shifts": [f"train-{kind}"],
            "corruptions": [],
        }
        for kind in KINDS
    }
    model = {
        "architecture": ARCHITECTURE,
        "pretrained": "weights.safetensors",
        "image_size": IMAGE_SIZE,
    }
    return {
        "seeds": [0],
        "models": {"small": model},
        "datasets": datasets,
        "benchmarks": benchmarks,
    }


def compare(work: Path) -> list[dict[str, Any]]:
    """Count the rows whose clean features differ from the folder's."""
    rows = []
    for part in ("train", "test"):
        expected = clean(work, f"{part}-folder")
        for kind in KINDS:
            found = clean(work, f"{part}-{kind}")
            different = int((found != expected).any(axis=1).sum())
            rows.append({"dataset": part, "kind": kind, "n": len(found), "different": different})
    return rows


def clean(work: Path, dataset: str) -> Any:
    with h5py.File(work / f"cache/small/images/{dataset}/clean.h5") as file:
        return file["features/clean"][:]


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
