"""Time per image of the corruptions, compared with the imagecorruptions package on one core.

    python benchmarks/speed/corruptions.py --peer peer/bin/python

`corruptions_peer.py` describes the peer's environment; without one, only lpclip is timed. On `cpu`,
lpclip has one thread like the peer, and processor time is measured, so that other programs hardly
matter; on `cuda`, elapsed time, from the start of a batch on the device to its end. The peer has no
parameters for 32 pixels and so no figures there. The variants take turns in every repeat. A repeat
is the mean over the five severities; a figure is the median of the repeats. Rows of other devices
and processors stay in the table.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from measure import RESULTS, Peer, machine, save
from PIL import Image
from torch import Tensor

from lpclip.transforms.corruptions.registry import EXTRA, SEVERITIES, STANDARD, corrupt
from lpclip.utils import rng

HERE = Path(__file__).parent
SETS = {224: "imagenet", 32: "cifar"}
BATCHES = {"cpu": {224: 8, 32: 128}, "cuda": {224: 256, 32: 4096}}
PEER_IMAGES = 8  # per repeat; 1 for glass_blur, which takes a second
SUFFIXES = {".jpg", ".jpeg", ".png"}

Pixels = npt.NDArray[np.uint8]


def start_peer(python: str, images: Path) -> Peer:
    """Start a process with imagecorruptions and one thread."""
    one = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
    worker = [python, "-W", "ignore", str(HERE / "corruptions_peer.py"), str(images)]
    return Peer(worker, **one)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--peer", help="a Python that has imagecorruptions")
    parser.add_argument(
        "--images", type=Path, help="folder of photographs (default: the two of scikit-learn)"
    )
    parser.add_argument("--devices", nargs="+", choices=list(BATCHES), default=available())
    parser.add_argument("--pixels", nargs="+", type=int, choices=list(SETS), default=list(SETS))
    parser.add_argument("--corruptions", nargs="+", default=STANDARD + EXTRA)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS / "corruptions.csv")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for pixels in options.pixels:
            photographs = load(options.images, pixels, max(PEER_IMAGES, BATCHES["cpu"][pixels]))
            peer = None
            if pixels == 224 and options.peer is None:
                print("No peer: give a Python that has imagecorruptions with --peer.")
            elif pixels == 224:
                np.save(f"{folder}/images.npy", photographs)
                peer = start_peer(options.peer, Path(folder) / "images.npy")
                print(f"peer: {peer.ready}")
            batches = {device: batch(photographs, device) for device in options.devices}
            for name in options.corruptions:
                rows += measure(name, pixels, batches, peer, options.repeats)
            if peer is not None:
                peer.close()
    found = pd.DataFrame(rows)
    summarise(found)
    save(found, options.output, key=["corruption", "pixels", "device", "processor"])


def available() -> list[str]:
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def load(folder: Path | None, pixels: int, count: int) -> Pixels:
    """Load random square crops of photographs: uint8 [count, pixels, pixels, 3]."""
    if folder is None:
        from sklearn.datasets import load_sample_images

        pictures = [Image.fromarray(picture) for picture in load_sample_images().images]
    else:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        pictures = [Image.open(path).convert("RGB") for path in files[:count]]
    if not pictures:
        raise SystemExit(f"{folder} has no photographs: expected JPEG or PNG.")
    generator = np.random.default_rng(0)
    crops = []
    for number in range(count):
        picture = pictures[number % len(pictures)]
        side = min(picture.size)
        left, top = (int(generator.integers(length - side + 1)) for length in picture.size)
        crop = picture.crop((left, top, left + side, top + side))
        crops.append(np.asarray(crop.resize((pixels, pixels), Image.Resampling.BICUBIC)))
    return np.stack(crops)


def batch(photographs: Pixels, device: str) -> Tensor:
    """Repeat the photographs up to the device's batch size: uint8 [B, 3, H, W]."""
    size = BATCHES[device][photographs.shape[1]]
    images = torch.from_numpy(photographs).permute(0, 3, 1, 2).contiguous()
    return images.repeat(-(-size // len(images)), 1, 1, 1)[:size].to(device)


def measure(
    name: str, pixels: int, batches: dict[str, Tensor], peer: Peer | None, repeats: int
) -> list[dict[str, object]]:
    """Return one row per device."""
    ours: dict[str, list[float]] = {device: [] for device in batches}
    theirs: list[float] = []
    for repeat in range(repeats + 1):  # the first repeat fills caches and does not count
        for device, images in batches.items():
            times = [milliseconds(images, name, severity, SETS[pixels]) for severity in SEVERITIES]
            ours[device] += [mean(times)] if repeat else []
        if peer is not None and repeat:
            count = 1 if name == "glass_blur" else PEER_IMAGES
            requests = [f"{name} {severity} {count}" for severity in SEVERITIES]
            theirs.append(mean(map(peer.request, requests)))
    rows: list[dict[str, object]] = []
    for device, times in ours.items():
        row = {"ms_per_image": median(times), "peer_ms_per_image": float("nan")}
        if theirs:
            row["peer_ms_per_image"] = median(theirs)
        row["ratio"] = row["peer_ms_per_image"] / row["ms_per_image"]
        head = {"corruption": name, "pixels": pixels, "device": device}
        rows.append({**head, "processor": processor(device), **row})
        print(
            f"{name:18} {pixels:4} {device:5}",
            *(f"{key} {x:.4g}" for key, x in row.items() if x > 0),
        )
    return rows


def milliseconds(images: Tensor, name: str, severity: int, parameters: str) -> float:
    """Return milliseconds per image at one severity: one CPU thread, or until the GPU is done."""
    keys = rng.keys(0, [str(number) for number in range(len(images))], f"{name}/{severity}")
    options: dict[str, Any] = {
        "name": name,
        "severity": severity,
        "keys": keys,
        "parameters": parameters,
    }
    if images.is_cuda:
        torch.cuda.synchronize()
        start = time.perf_counter()
        corrupt(images, **options)
        torch.cuda.synchronize()
        duration = time.perf_counter() - start
    else:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        start = time.process_time()
        corrupt(images, **options)
        duration = time.process_time() - start
        torch.set_num_threads(threads)
    return duration * 1000 / len(images)


def processor(device: str) -> str:
    return machine() if device == "cpu" else f"{machine(device)}; peer: {machine()}"


def summarise(rows: pd.DataFrame) -> None:
    """Print means over the 15 standard corruptions, with and without glass_blur."""
    rows = rows[rows.corruption.isin(STANDARD)]
    for (device, pixels), group in rows.groupby(["device", "pixels"]):
        for label, part in (
            (f"mean of {len(group)}", group),
            ("without glass_blur", group[group.corruption != "glass_blur"]),
        ):
            ours, theirs = part.ms_per_image.mean(), part.peer_ms_per_image.mean()
            line = f"{device} {pixels}, {label}: {ours:.4g} ms"
            if theirs > 0:
                slowest = part.sort_values("ratio").iloc[0]
                line += f", peer {theirs:.4g} ms, ratio {theirs / ours:.1f}"
                line += f", lowest {slowest.ratio:.2f} ({slowest.corruption})"
            print(line)


if __name__ == "__main__":
    main()
