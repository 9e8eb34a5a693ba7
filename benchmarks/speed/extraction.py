r"""Images per second of a whole extraction, of the bare encoder, and of the usual plain loop.

    python benchmarks/speed/extraction.py                             # ViT-B-32 in fp32 on this CPU
    python benchmarks/speed/extraction.py --device cuda --threads 16 --workers 0 8 16 --images 8192
    python benchmarks/speed/extraction.py \
        --clip-benchmark clip-benchmark/bin/python --clip-retrieval clip-retrieval/bin/python

- ``bare``: the encoder on tensors in the device's memory;
- ``lpclip``: JPEG files to a feature cache, decoded by threads (0) or by worker processes;
- ``plain-loop``: DataLoader, ``encode_image``, ``.cpu()``, append, ``numpy.save``, in fp32, with
  worker processes, in a separate process;
- ``clip-benchmark``, ``clip-retrieval``: the packages' own code, each in its own environment (see
  ``extraction_peer.py``); in fp32 on a CPU, with as many worker processes as the plain loop.

All take turns in one run, with the same weights (random: speed does not depend on them), batch
size and number of threads. Loading the model is not counted. The images are photographs from
``--folder``, or generated pictures of 500 x 375 pixels, repeated up to the number of files.
"""

import argparse
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import open_clip
import pandas as pd
import torch
from measure import RESULTS, Peer, machine, write
from PIL import Image
from safetensors.torch import save_file

from lpclip.data.index import index_samples
from lpclip.features.embed import automatic_batch_size
from lpclip.features.images import embed_images
from lpclip.models.clip import Model, load_model
from lpclip.models.spec import ModelSpec

SIZE = (500, 375)
LOOP, *PACKAGES = PEERS = ("plain-loop", "clip-benchmark", "clip-retrieval")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--models", nargs="+", default=["ViT-B-32"], help="model names of open_clip"
    )
    parser.add_argument("--precisions", nargs="+", default=["fp32"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--workers", type=int, nargs="+", default=[0])
    parser.add_argument("--loop-workers", type=int, nargs="+", help="default: as --workers")
    parser.add_argument("--compile", action="store_true", help="also with compile: true")
    for peer in PACKAGES:
        parser.add_argument(f"--{peer}", dest=peer, help=f"a Python that has {peer}")
    parser.set_defaults(**{LOOP: sys.executable})
    parser.add_argument("--images", type=int, default=256, help="files per extraction")
    parser.add_argument("--folder", type=Path, help="photographs, *.JPEG")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--name", default="extraction", help="name of the CSV file in results/")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    embed_images.__globals__["load_model"] = cache(load_model)  # loaded once, not per extraction
    logging.basicConfig(level=logging.ERROR)
    for peer in PACKAGES:
        if vars(options)[peer] is None:
            print(f"{peer} is left out: give a Python that has it with --{peer}.")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        source = {"kind": "folder", "root": str(work / "images"), "labelled": False}
        make_images(work / "images", options.images, options.folder)
        index_samples(output=work / "samples.h5", dataset="images", source=source)
        for name in options.models:
            checkpoint = work / f"{name}.safetensors"
            save_file(open_clip.create_model(name).state_dict(), checkpoint)
            for precision in options.precisions:
                spec = ModelSpec(name, name, str(checkpoint), False, precision)
                rows += compare(spec, work, source, options)
    write(rows, options.name)
    if len(options.workers) > 1:
        draw(pd.DataFrame(rows), RESULTS / f"{options.name}.png")


def make_images(folder: Path, count: int, photographs: Path | None) -> None:
    """Make ``count`` JPEG files from a few pictures, so that the disk is not the bottleneck."""
    folder.mkdir()
    if photographs:
        files = sorted(photographs.glob("*.JPEG"))
    else:
        rng = np.random.default_rng(0)
        (made := folder.parent / "made").mkdir()
        files = [made / f"{number}.JPEG" for number in range(64)]
        for file in files:
            picture(rng).save(file, quality=90)
    for number in range(count):
        os.link(files[number % len(files)], folder / f"{number:06d}.JPEG")


def picture(rng: np.random.Generator) -> Image.Image:
    """Return noise whose amplitude falls with frequency, as in photographs."""
    width, height = SIZE
    frequencies = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    noise = np.fft.rfft2(rng.normal(size=(3, height, width))) / np.maximum(frequencies, 1 / width)
    clouds = np.fft.irfft2(noise, s=(height, width))
    clouds = 128 + 50 * clouds / clouds.std(axis=(1, 2), keepdims=True)
    return Image.fromarray(clouds.clip(0, 255).astype(np.uint8).transpose(1, 2, 0))


def compare(
    spec: ModelSpec, work: Path, source: dict[str, Any], options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Return the rows of one model in one precision."""
    model = load_model(spec, device=options.device)
    options.device = str(model.device)  # of several GPUs, the same for all
    batch = automatic_batch_size(model)
    files = sorted((work / "images").iterdir())
    if model.precision != "fp32":
        exact = load_model(replace(spec, precision="fp32"), device=options.device)
        print(f"{spec.architecture}, {model.precision}: {agreement(model, exact, files)}")
    precisions: dict[str, str] = {}
    variants: dict[tuple[str, int], Callable[[], float]] = {
        ("bare", 0): lambda: bare(model, batch, options.images)
    }
    for workers in options.workers:

        def whole(workers: int = workers) -> float:
            return lpclip(spec, work, source, options.device, workers)

        variants["lpclip", workers] = whole
    if options.compile:
        compiled = replace(spec, compile=True)
        variants["lpclip compiled", 0] = lambda: lpclip(compiled, work, source, options.device, 0)
    peers = {
        name: start_peer(name, vars(options)[name], work / "images", spec, batch, options)
        for name in PEERS
        if vars(options)[name] is not None
    }
    for name, peer in peers.items():
        _, precisions[name], *versions = peer.ready.split(" ")
        print(f"{name} in {precisions[name]}:", *versions)
        for workers in options.loop_workers or options.workers:
            variants[name, workers] = partial(peer.request, str(workers))
    taken: dict[tuple[str, int], list[float]] = {name: [] for name in variants}
    for turn in range(1 + options.repeats):
        for key, run in variants.items():
            rate = run()
            print(*key, f"{rate:.4g} images/s" if turn else "warm", file=sys.stderr)
            if turn:
                taken[key].append(rate)
    for peer in peers.values():
        peer.close()
    rates = {key: median(found) for key, found in taken.items()}
    return table(rates, precisions, spec, options)


def start_peer(
    name: str, python: str, images: Path, spec: ModelSpec, batch: int, options: argparse.Namespace
) -> Peer:
    """Start another package's extraction, with the model loaded."""
    # clip-benchmark asserts that there is a GPU.
    flags = ["-W", "ignore", *(["-O"] if options.device == "cpu" else [])]
    script = str(Path(__file__).with_name("extraction_peer.py"))
    arguments = [images, spec.architecture, spec.pretrained, batch, options.threads, options.device]
    return Peer([python, *flags, script, name, *map(str, arguments)], TQDM_DISABLE="1")


def agreement(model: Model, exact: Model, files: list[Path]) -> str:
    """Compare features of the first files with those of the same model in fp32, by cosine."""
    with torch.no_grad():
        images = [exact.to_pixels(Image.open(file)) for file in files[:64]]
        pixels = torch.stack(images).to(exact.device)
        cosines = torch.cosine_similarity(model.embed(pixels), exact.embed(pixels))
    return f"cosines to fp32 {cosines.mean():.5f} on average, {cosines.min():.5f} at least"


def bare(model: Model, batch: int, count: int) -> float:
    """Return images per second of the encoder alone, in the precision that lpclip uses."""
    size = model.image_size
    images = torch.rand(batch, 3, size, size, device=model.device)
    _wait(model)
    start = perf_counter()
    batches = max(1, count // batch)
    for _ in range(batches):
        model.features(images)
    _wait(model)
    return batches * batch / (perf_counter() - start)


def lpclip(spec: ModelSpec, work: Path, source: dict[str, Any], device: str, workers: int) -> float:
    """Return images per second as the job reports them, from the first file to the whole cache."""
    output, timings = work / "features.h5", work / "timings.tsv"
    output.unlink(missing_ok=True)
    embed_images(
        samples=work / "samples.h5",
        output=output,
        dataset="images",
        source=source,
        model=spec,
        views={"clean": {}},
        workers=workers,
        device=device,
        timings=timings,
    )
    return float(pd.read_csv(timings, sep="\t")["images_per_second"].item())


def table(
    rates: dict[tuple[str, int], float],
    precisions: dict[str, str],
    spec: ModelSpec,
    options: argparse.Namespace,
) -> list[dict[str, Any]]:
    """Return one row per variant, relative to the bare encoder and the fastest plain loop."""
    fastest = max(rate for (what, _), rate in rates.items() if what == LOOP)
    return [
        {
            "model": spec.architecture,
            "precision": precisions.get(what, spec.precision),
            "beside": spec.precision,
            "what": what,
            "workers": workers,
            "images_per_second": rate,
            "of_bare": rate / rates["bare", 0],
            "of_plain_loop": rate / fastest,
            "machine": f"{machine(options.device)}, {options.threads} threads",
        }
        for (what, workers), rate in rates.items()
    ]


def draw(rows: pd.DataFrame, path: Path) -> None:
    """Plot images per second against the number of workers."""
    import matplotlib.pyplot as plt

    groups = list(rows.groupby(["model", "beside"], sort=False))
    figure, axes = plt.subplots(
        1, len(groups), figsize=(4.2 * len(groups), 3.4), squeeze=False, layout="constrained"
    )
    for axis, ((model, precision), group) in zip(axes[0], groups, strict=True):
        limit = group.loc[group["what"] == "bare", "images_per_second"].item()
        axis.axhline(limit, color="0.5", linestyle="--", label="bare encoder")
        for what in ("lpclip", *PEERS):
            line = group[group["what"] == what].sort_values("workers")
            if len(line):
                label = f"{what}, {line['precision'].iloc[0]}"
                axis.plot(line["workers"], line["images_per_second"], marker="o", label=label)
        axis.set(
            title=f"{model}, {precision}",
            xlabel="worker processes (0: threads of the job)",
            ylabel="images per second",
            xticks=sorted(group["workers"].unique()),
            ylim=(0, 1.1 * group["images_per_second"].max()),
        )
        axis.legend(fontsize="small")
    figure.suptitle(rows["machine"].iloc[0], fontsize="medium")
    figure.savefig(path, dpi=120)


def _wait(model: Model) -> None:
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)


if __name__ == "__main__":
    main()
