"""Embed a dataset: one pass decodes each image once and embeds all its views."""

import importlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from annotated_types import MinLen
from torch import Tensor

from lpclip.data.image_sizes import check_sizes
from lpclip.data.official import paths_of_views
from lpclip.data.registry import SourceSettings, has_images, open_source
from lpclip.errors import LpclipError, bad_images
from lpclip.features.embed import Views, automatic_batch_size, encode_all
from lpclip.features.pixels import Images
from lpclip.models.clip import load_model
from lpclip.models.spec import BatchSize, ModelSpec
from lpclip.storage.chunks import Parts
from lpclip.storage.features import CHUNK_ROWS
from lpclip.storage.samples import (
    count_rows,
    fingerprint,
    read_part,
    read_samples,
    without_labels,
)
from lpclip.storage.shards import join_shards, range_of
from lpclip.types import ConsumedFile, OutputFile
from lpclip.utils.atomic import atomic_path, resumable_folder
from lpclip.utils.progress import Progress, progress
from lpclip.utils.settings import Seed, build, convert

log = logging.getLogger(__name__)

# Up to this image size, models get the corruption parameters published for CIFAR.
LARGEST_CIFAR_PIXELS = 64


def embed_images(
    *,
    samples: Path,
    output: OutputFile,
    dataset: str,
    source: SourceSettings,
    model: ModelSpec,
    views: Annotated[Mapping[str, Mapping[str, Any]], MinLen(1)],
    seed: Seed = 0,
    batch_size: BatchSize = "auto",
    workers: int = 0,
    device: str = "auto",
    timings: OutputFile | None = None,
    rows: Sequence[int] | None = None,
    shards: Sequence[ConsumedFile] = (),
) -> None:
    """Write the feature cache of one pass, or a shard of it; resume an interrupted run.

    Args:
        samples: index of the dataset; its labels are not read.
        output: feature cache.
        dataset: name of the dataset.
        source: ``kind`` and settings of the image source.
        model: the CLIP model.
        views: name of each view -> its settings: ``clean`` (none), ``weak`` and ``strong`` (see
            ``lpclip.transforms.views.policies``; ``versions`` is their number), or a corruption
            (``severities``, ``parameters``: ``cifar``, ``imagenet`` or ``auto``, which follows the
            image size; with ``official`` the published files are read and embedded unchanged; with
            ``kind`` and ``settings`` it is a plugin's).
        seed: of everything random, together with the sample's id and the view.
        batch_size: images per forward pass, at most a chunk of the cache; halved when memory runs
            out. ``auto``: see ``automatic_batch_size``.
        workers: processes that decode images; 0 decodes in threads of this one.
        device: ``auto``, a GPU if there is one; ``cpu``; ``cuda``, a GPU that no other job uses if
            possible; or ``cuda:1``.
        timings: a table of one row, separated by tabs: images of this run, images per second,
            device, and seconds spent on decoding, views, encoding and writing.
        rows: first row, and the row after the last, of a shard to write: whole chunks of 256.
        shards: the shards of the whole dataset, in order, to join instead of embedding images; they
            are freed on the way.

    Raises:
        LpclipError: shards that do not make up the cache (see ``join_shards``); rows that are not
            whole chunks; images that cannot be read (the first ten by path) or were replaced since
            the index was made; a model that cannot be loaded; a dataset of features without images.
    """
    if not has_images(source):
        raise LpclipError(
            f"Dataset '{dataset}' holds precomputed features, no images to make the views "
            f"{', '.join(views)} from. Its clean view is a copy: lpclip copy-features."
        )
    checked = {name: _checked(name, one) for name, one in views.items()}
    if rows is not None and shards:
        raise LpclipError("Rows are of a shard to write, and shards are to be joined: give one.")
    shard = None if rows is None else _shard(rows, count_rows(samples))
    if shard is not None:
        index, whole_index = read_part(samples, shard)
    else:
        index = read_samples(samples, labels=False)
        whole_index = fingerprint(index)
    described: dict[str, str | int] = {
        "dataset": dataset,
        "index": whole_index,
        "views": json.dumps({name: dict(views[name]) for name in views}, sort_keys=True),
        "seed": seed,
    }
    if shards:
        with progress(total=len(index), unit="images", label="join", device="cpu") as shown:
            join_shards(
                output,
                shards,
                samples=index,
                views=list(views),
                expected=described,
                count=shown.add,
            )
        _write_timings(timings, shown)
        return
    at_most = CHUNK_ROWS if batch_size == "auto" else batch_size
    loaded = load_model(model, device=device, batch_size=at_most)
    passes = [_views(name, one, seed=seed, size=loaded.image_size) for name, one in checked.items()]
    settings = dict(source)
    opened = open_source(settings.pop("kind"), settings)
    check_sizes(samples, opened, index)
    paths = paths_of_views(opened, list(index["path"]), views)
    images = Images(opened, paths, loaded.prepare)
    provenance = {
        **loaded.provenance,
        **described,
        "dtype": "float16",
        **({} if shard is None else range_of(shard)),
    }
    at_once = automatic_batch_size(loaded) if batch_size == "auto" else batch_size
    # Published corruptions are files of their own, embedded unchanged.
    official = len(paths) > len(index)
    made = [_CLEAN] if official else passes
    lengths = [min(CHUNK_ROWS, len(index) - start) for start in range(0, len(index), CHUNK_ROWS)]
    with (
        without_labels("views of images see no label."),
        resumable_folder(output) as folder,
        Parts(folder, rows=lengths, identity=provenance, batch_size=at_once) as parts,
        progress(
            total=len(index),
            unit="images",
            label="embed",
            initial=(first := len(index) - sum(lengths[number] for number in parts.missing)),
            device=loaded.device.type,
        ) as shown,
    ):
        if first:
            log.info("continuing an interrupted run after %d of %d images", first, len(index))
        bad = encode_all(
            images, list(index["id"]), parts, shown, model=loaded, views=made, workers=workers
        )
        if bad:
            skip = "" if official else f", or set on_bad_image: skip for the dataset '{dataset}'"
            raise bad_images(
                bad,
                f"Repair what is damaged{skip}. If you remove files, the index that lists them has "
                f"to be made again: run your snakemake command with --forcerun {samples}",
            )
        with shown.spending("write"):
            versions = {view.name: view.versions for view in passes}
            parts.join(output, samples=index, versions=versions, provenance=provenance)
    _write_timings(timings, shown)


def _write_timings(timings: Path | None, shown: Progress) -> None:
    if timings is not None:
        with atomic_path(timings) as path:
            pd.DataFrame([shown.figures()]).to_csv(path, sep="\t", index=False)


def _shard(rows: Sequence[int], n: int) -> range:
    """Return the rows of a shard.

    Raises:
        LpclipError: they are not whole chunks of a dataset with n images.
    """
    start, stop = rows if len(rows) == 2 else (0, 0)
    if not 0 <= start < stop <= n or start % CHUNK_ROWS or (stop % CHUNK_ROWS and stop != n):
        raise LpclipError(
            f"rows are {list(rows)}, but a shard of {n:,} images is whole chunks of {CHUNK_ROWS}: "
            f"its first row and the row after its last are multiples of {CHUNK_ROWS}, or the end."
        )
    return range(start, stop)


_CLEAN = Views("clean", 0, lambda pixels, _ids, _version: pixels)


def _checked(name: str, settings: Mapping[str, Any]) -> Any:
    """Return the settings of a view: a class of settings, or a mapping of what has none."""
    options, where = dict(settings), f"view '{name}'"
    if name == "clean" and options:
        raise LpclipError(f"{where} has no settings, but {', '.join(options)} is given.")
    if name == "clean" or options.get("official"):
        return options
    # Imported by name, so that the code hash of a pass covers only what the pass uses.
    if name in ("weak", "strong"):
        policies = importlib.import_module("lpclip.transforms.views.policies")
        flips = options.pop("flips", [])
        convert(policies.Flips, flips, where=where, path=["flips"])
        return {**vars(build(policies.SETTINGS[name], options, where=where)), "flips": flips}
    registry = importlib.import_module("lpclip.transforms.corruptions.registry")
    return registry.checked_settings(name, options, where=where)


def _views(name: str, settings: Any, *, seed: int, size: int) -> Views:
    if name == "clean":
        return _CLEAN
    if isinstance(settings, Mapping) and settings.get("official"):
        return Views(name, len(settings["severities"]), _CLEAN.make)
    keys = importlib.import_module("lpclip.utils.rng").keys
    if name in ("weak", "strong"):
        policies = importlib.import_module("lpclip.transforms.views.policies")
        make = getattr(policies, name)
        options = {key: one for key, one in settings.items() if key not in ("versions", "made_by")}
        if settings["made_by"] is not None:
            make, options = policies.by_plugin, {"made_by": settings["made_by"]}

        def view(pixels: Tensor, ids: Sequence[str], version: int) -> Tensor:
            of_version = keys(seed, ids, f"{name}/{version}").to(pixels.device)
            changed: Tensor = make(pixels.float().div(255), of_version, **options)
            return changed

        return Views(name, settings["versions"], view)
    registry = importlib.import_module("lpclip.transforms.corruptions.registry")
    if isinstance(settings, registry.OfPlugin):
        corrupt = registry.corrupt_by
        options = {"kind": settings.kind, "settings": settings.settings}
    else:
        corrupt, options = registry.corrupt, {"name": name, "parameters": settings.parameters}
        if settings.parameters == "auto":
            options["parameters"] = "cifar" if size <= LARGEST_CIFAR_PIXELS else "imagenet"
        if settings.frost_images:
            options["frost_images"] = Path(settings.frost_images)

    def corruption(pixels: Tensor, ids: Sequence[str], version: int) -> Tensor:
        severity = settings.severities[version]
        of_severity = keys(seed, ids, f"{name}/{severity}").to(pixels.device)
        changed: Tensor = corrupt(pixels, severity=severity, keys=of_severity, **options)
        return changed

    return Views(name, len(settings.severities), corruption)
