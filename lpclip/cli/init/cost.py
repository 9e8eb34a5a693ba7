"""What a run of a new project costs on this machine: time from a measured rate, disk, downloads.

The stage that embeds images runs on a few of them, with every kind of view once. Nothing is
downloaded for that: the speed of a model does not depend on its weights.
"""

import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lpclip.cli.init import weights
from lpclip.cli.init.survey import amount
from lpclip.config import files
from lpclip.config.checked import Checked
from lpclip.config.job_sizes import JobSize
from lpclip.config.passes import views_of_pass
from lpclip.config.schema import Dataset, Model
from lpclip.config.stage_costs import Size
from lpclip.corruption_names import FAMILIES
from lpclip.errors import LpclipError
from lpclip.models.parameters import magnitude
from lpclip.utils.host import cores
from lpclip.utils.printing import duration

# A measurement is repeated with more images until it takes so long, in seconds, or has so many.
_LONG_ENOUGH, _FEWEST, _MOST = 1.5, 4, 256
# Where nothing could be measured: products and decoded images in a second, and seconds to load.
_THREAD, _DEVICE, _DECODED, _START = 20e9, 5e12, 50, 5.0


class Rate(NamedTuple):
    """Seconds that embedding takes."""

    start: float  # of a job: to load the model, and the first batch
    decode: float  # of an image
    encode: float  # of a view of an image
    make: Mapping[str, float]  # of a view, before it is encoded, by pass; 0 for what is not named
    device: str
    n_images: int  # that were measured; 0: none, this is an estimate
    remark: str  # how it was measured, or why it was not


class Cost(NamedTuple):
    """What a run takes."""

    images: int
    encodings: int
    seconds: float  # of embedding
    corruptions: float  # seconds of these for corruptions
    gigabytes: float  # of caches
    rate: Rate


def measured_rate(model: Model, dataset: Dataset, *, threads: int, corruptions: bool) -> Rate:
    """Measure how fast this machine embeds images of a dataset; estimate it where that fails.

    Args:
        model: the CLIP model; where its weights are not here, random ones take their place.
        dataset: whose images and views are measured.
        threads: of one job.
        corruptions: whether corruptions are to be measured as well.
    """
    import torch

    torch.set_num_threads(min(threads, cores()))
    remark = ""
    with tempfile.TemporaryDirectory() as name, weights.without_downloads():
        folder = Path(name)
        try:
            if not weights.are_here(model):
                model = weights.random_weights(model, folder)
                remark = " with random weights, since its own are not here yet"
            return _measured(model, dataset, folder, corruptions=corruptions, remark=remark)
        except LpclipError as error:
            return _estimated(model, str(error))
        except OSError as error:  # no room for random weights, for example
            return _estimated(model, error.strerror or str(error))


def _measured(
    model: Model, dataset: Dataset, folder: Path, *, corruptions: bool, remark: str
) -> Rate:
    views: dict[str, Any] = {"clean": {}}
    assert dataset.views is not None
    adapt, _ = views_of_pass("adapt", dataset.views, (), {})
    views |= {name: {**one, "versions": 1} for name, one in adapt.items()}
    begun = time.perf_counter()
    _timed(model, dataset, views, folder, 1)
    start = time.perf_counter() - begun
    n = _FEWEST
    found = _timed(model, dataset, views, folder, n)
    while found["seconds"] < _LONG_ENOUGH and found["images"] == n < _MOST:
        n *= 4
        found = _timed(model, dataset, views, folder, n)
    n = found["images"]
    encode = found["encode_seconds"] / (n * len(views))
    make = {"adapt": found["views_seconds"] / (n * (len(views) - 1))}
    if corruptions:
        make |= dict.fromkeys(FAMILIES, _seconds_to_corrupt(model, str(found["device"])))
    decode = found["decode_seconds"] / n
    return Rate(start, decode, encode, make, str(found["device"]), n, remark)


def _seconds_to_corrupt(model: Model, device: str) -> float:
    """Measure the mean time of a corruption of an image, at its middle severity."""
    import torch

    from lpclip.features.images import LARGEST_CIFAR_PIXELS
    from lpclip.transforms.corruptions.registry import corrupt
    from lpclip.utils.rng import keys

    side = weights.image_side(model)
    pixels = torch.randint(256, (_FEWEST, 3, side, side), dtype=torch.uint8, device=device)
    key = keys(0, [str(number) for number in range(_FEWEST)], "timed").to(device)
    parameters = "cifar" if side <= LARGEST_CIFAR_PIXELS else "imagenet"
    names = [name for family in FAMILIES.values() for name in family]
    for _ in range(2):  # the first time also loads what some of them need
        start = time.perf_counter()
        for name in names:
            corrupt(pixels, name=name, severity=3, keys=key, parameters=parameters)
        if device == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    return seconds / (len(names) * _FEWEST)


def _timed(
    model: Model, dataset: Dataset, views: Mapping[str, Any], folder: Path, n: int
) -> dict[str, Any]:
    """Embed n images; return the figures of the stage."""
    import pandas as pd

    from lpclip.data.index import index_samples
    from lpclip.features.images import embed_images

    index, timings = folder / "samples.h5", folder / "timings.tsv"
    index_samples(
        output=index, dataset="timed", source=dataset.source, limit=n, on_bad_image="skip"
    )
    embed_images(
        samples=index,
        output=folder / "features.h5",
        dataset="timed",
        source=dataset.source,
        model=model,
        views=views,
        device=model.device,
        timings=timings,
    )
    (row,) = pd.read_csv(timings, sep="\t").to_dict("records")
    return {str(key): value for key, value in row.items()}


def _estimated(model: Model, reason: str) -> Rate:
    import torch

    on_gpu = torch.cuda.is_available()
    n_threads = cores()
    speed = _DEVICE if on_gpu else n_threads * _THREAD
    return Rate(
        start=_START,
        decode=1 / (_DECODED * n_threads),
        encode=magnitude(model).image_operations / speed,
        make={},
        device="cuda" if on_gpu else "cpu",
        n_images=0,
        remark=reason,
    )


def cost_of(config: Checked, rows: Mapping[str, int], rate: Rate) -> Cost:
    """Return what a run of a configuration costs, as far as images are embedded.

    Jobs of fewer threads than there are cores run side by side.

    Args:
        config: the configuration of a project.
        rows: number of images of each dataset.
        rate: of embedding.
    """
    sizes = _embedded(config, rows)
    seconds = {
        key: rate.start
        + rate.decode * size.rows
        + (rate.encode + rate.make.get(key[-1], 0.0)) * size.images
        for key, size in sizes.items()
    }
    # Images that are skipped if they cannot be read are all read once more.
    index = rate.decode * sum(rows.values())
    on_cpu = rate.device == "cpu" and rate.n_images
    at_once = min(len(sizes), max(1, cores() // config.compute.threads)) if on_cpu else 1
    return Cost(
        images=sum(rows.values()),
        encodings=sum(size.images for size in sizes.values()),
        seconds=index + sum(seconds.values()) / at_once,
        corruptions=sum(value for key, value in seconds.items() if key[-1] in FAMILIES) / at_once,
        gigabytes=sum(2e-9 * size.images * size.dim for size in sizes.values()),
        rate=rate,
    )


def _embedded(config: Checked, rows: Mapping[str, int]) -> dict[tuple[str, ...], Size]:
    """Return the sizes of all passes by model, dataset and name."""
    passes = set()
    for model, name in config.pairs():
        benchmark = config.benchmarks[name]
        found = {(benchmark.adapt, "adapt"), (benchmark.adapt, "clean")}
        found |= set(files.evaluated_passes(config, benchmark))
        passes |= {(model, *one) for one in found}
    keys = ("model", "dataset", "views")
    return {
        one: JobSize(config, rows.__getitem__, dict(zip(keys, one, strict=True))).of("embed_images")
        for one in sorted(passes)
    }


def described(cost: Cost, *, model: str, download: float) -> str:
    """Return the cost in a few lines.

    Args:
        cost: of a run.
        model: its name.
        download: gigabytes of weights; 0 if there are none, or they are unknown.
    """
    rate = cost.rate
    per_second = 1 / max(rate.encode, 1e-9)
    rounded = f"{per_second:,.0f}" if per_second >= 1 else f"{per_second:.1g}"
    n_threads = cores()
    place = f"cpu, {n_threads} threads" if rate.device == "cpu" else rate.device
    if rate.n_images:
        source = f"measured on {rate.n_images} images{rate.remark}"
    else:
        source = f"a guess from the size of the model, since measuring failed: {rate.remark}"
    if os.getloadavg()[0] > 1.5 * n_threads:
        source += "; the machine is busy, else it would be faster"
    lines = [
        f"What a run costs on this machine ({place}):",
        f"  {duration(cost.seconds)} to embed {cost.images:,} images in {cost.encodings:,} views "
        f"with {model}, which encodes {rounded} a second ({source}).",
        "  Training, evaluation and the page come on top, usually a few minutes.",
        f"  {amount(cost.gigabytes)} of caches"
        + ("." if not download else f", and {download} GB of weights to download, once."),
    ]
    if cost.corruptions > 0.2 * cost.seconds and cost.seconds > 600:
        lines.append(
            f"  {duration(cost.corruptions)} of it for corruptions of the labelled images: "
            "`corruptions: []` in config.yaml leaves them out."
        )
    if cost.seconds > 3600 and cost.images > 2000:
        lines.append("  For a first try, set `limit: 2000` next to `source` in config.yaml.")
    return "\n".join(lines)
