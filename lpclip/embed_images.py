"""Image features: one pass decodes each image of a dataset once and embeds all its views."""

import importlib
import io
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lpclip import cache
from lpclip.atomic import resumable_folder
from lpclip.data import Source, has_images, open_source, read_image
from lpclip.data._official import paths_of_views
from lpclip.errors import BadImageError, LpclipError, bad_images
from lpclip.model_spec import ModelSpec
from lpclip.models import Model, load_model
from lpclip.progress import progress
from lpclip.types import FloatArray

log = logging.getLogger(__name__)

# Models that take images this small get the corruption parameters published for CIFAR.
LARGEST_CIFAR_PIXELS = 64


@dataclass(frozen=True)
class Views:
    """One view of every image, in one or several versions.

    Attributes:
        name: name of the view in the cache.
        versions: 0 for a view without versions, stored ``[N, D]``; else stored ``[V, N, D]``.
        make: ``(pixels [B, 3, H, W], ids, version) -> pixels [B, 3, H, W]``, all in 0..1.
    """

    name: str
    versions: int
    make: Callable[[Tensor, Sequence[str], int], Tensor]


def embed_images(
    *,
    samples: Path,
    output: Path,
    dataset: str,
    source: Mapping[str, Any],
    model: ModelSpec,
    views: Mapping[str, Mapping[str, Any]],
    seed: int = 0,
    batch_size: int = 256,
    workers: int = 0,
    device: str = "auto",
) -> None:
    """Write the feature cache of one pass; continue where a killed run of it stopped.

    Args:
        samples: index of the dataset; its labels are not read.
        output: feature cache.
        dataset: name of the dataset.
        source: ``kind`` and settings of the image source.
        model: the CLIP model.
        views: name of each view -> its settings: ``clean`` (none), ``weak`` and ``strong`` (see
            ``lpclip.views``; ``versions`` says how many), or a corruption (``severities``,
            ``parameters``: ``cifar``, ``imagenet`` or ``auto``, which follows the image size;
            with ``official`` the published files are read, which are encoded as they are).
        seed: seed of everything random, together with the sample's id and the view.
        batch_size: images that are encoded at once.
        workers: processes that decode images; 0 decodes in this one.
        device: ``auto``, or a name that torch knows.

    Raises:
        LpclipError: images that cannot be read, the first ten by path; a model that cannot be
            loaded; a dataset of features without images.
    """
    if not has_images(source):
        raise LpclipError(
            f"Dataset '{dataset}' holds features made before, no images to make the views "
            f"{', '.join(views)} from. Its clean view is a copy: lpclip copy-features."
        )
    loaded = load_model(model, device=device)
    index = cache.read_samples(samples, labels=False)
    passes = [
        _views(name, settings, seed=seed, size=loaded.image_size)
        for name, settings in views.items()
    ]
    settings = dict(source)
    opened = open_source(settings.pop("kind"), settings)
    paths = paths_of_views(opened, list(index["path"]), views)
    images = _Images(opened, paths, loaded)
    provenance = {
        **loaded.provenance,
        "dataset": dataset,
        "index": cache.fingerprint(index),
        "views": json.dumps({name: dict(views[name]) for name in views}, sort_keys=True),
        "seed": seed,
        "dtype": "float16",
    }
    identity = json.dumps({**provenance, "batch_size": batch_size}, sort_keys=True)
    # Published corruptions are other files, to be encoded as they are.
    official = len(paths) > len(index)
    made = [_CLEAN] if official else passes
    encode = partial(_encode, model=loaded, views=made, batch_size=batch_size)
    with resumable_folder(output) as folder:
        _keep_only(folder, identity)
        bad = _write_parts(folder, images, list(index["id"]), encode, workers=workers)
        if bad:
            skip = "" if official else f", or set on_bad_image: skip for the dataset '{dataset}'"
            raise bad_images(
                bad,
                f"Repair what is damaged{skip}. If you remove files, delete {samples} too: it "
                "lists them.",
            )
        cache.write_features(
            output,
            samples=index,
            versions={view.name: view.versions for view in passes},
            parts=(np.load(path, allow_pickle=False) for path in _parts(folder)),
            provenance=provenance,
        )


_CLEAN = Views("clean", 0, lambda pixels, _ids, _version: pixels)


def _views(name: str, settings: Mapping[str, Any], *, seed: int, size: int) -> Views:
    options = dict(settings)
    if name == "clean":
        return _CLEAN
    if options.get("official"):
        return Views(name, len(options["severities"]), _CLEAN.make)
    # Imported by name, since the hash of a pass's code covers what the pass uses and no more.
    keys = importlib.import_module("lpclip.rng").keys
    if name in ("weak", "strong"):
        make = getattr(importlib.import_module("lpclip.views"), name)
        versions = options.pop("versions")

        def view(pixels: Tensor, ids: Sequence[str], version: int) -> Tensor:
            drawn = keys(seed, ids, f"{name}/{version}").to(pixels.device)
            changed: Tensor = make(pixels, drawn, **options)
            return changed

        return Views(name, versions, view)
    corrupt = importlib.import_module("lpclip.corruptions").corrupt
    severities = options.pop("severities")
    parameters = options.pop("parameters", "auto")
    if parameters == "auto":
        parameters = "cifar" if size <= LARGEST_CIFAR_PIXELS else "imagenet"
    frost_images = options.pop("frost_images", None)

    def corruption(pixels: Tensor, ids: Sequence[str], version: int) -> Tensor:
        severity = severities[version]
        changed: Tensor = corrupt(
            pixels,
            name=name,
            severity=severity,
            keys=keys(seed, ids, f"{name}/{severity}").to(pixels.device),
            parameters=parameters,
            frost_images=Path(frost_images) if frost_images else None,
        )
        return changed

    return Views(name, len(severities), corruption)


class _Images(Dataset[Tensor | LpclipError]):
    """Decoded, resized and cropped images by row; pixels in 0..1, float32 ``[3, H, W]``.

    An error is an item too: raised in a worker, it would come back with a traceback in its text.
    """

    def __init__(self, source: Source, paths: Sequence[str], model: Model) -> None:
        self._source, self._paths, self._to_pixels = source, paths, model.to_pixels

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, row: int) -> Tensor | LpclipError:
        try:
            return self._to_pixels(read_image(self._source, self._paths[row]))
        except LpclipError as error:
            return error


def _write_parts(
    folder: Path,
    images: _Images,
    ids: Sequence[str],
    encode: Callable[[Tensor, Sequence[str]], FloatArray],
    *,
    workers: int,
) -> list[BadImageError]:
    """Encode the chunks of rows that have no part yet, each into a file of its own.

    Returns:
        Images that cannot be read. From the first of them on nothing is encoded, but all others
        are decoded, so that one run finds them all.
    """
    bad: list[BadImageError] = []
    done = len(_parts(folder))
    first = done * cache.CHUNK_ROWS
    if done:
        log.info("continuing an interrupted run after %d of %d images", first, len(ids))
    with progress(total=len(ids), unit="images", label="embed", initial=first) as shown:
        encoded: list[FloatArray] = []
        for start, pixels in _chunks(images, first, len(ids), workers=workers):
            if isinstance(pixels, list):
                if not bad:
                    log.warning("%s Looking for others.", pixels[0])
                bad += pixels
                continue
            if bad:
                continue
            chunk_ids = ids[start : start + len(pixels)]
            encoded.append(encode(pixels, chunk_ids))
            if len(encoded) < len(images) // len(ids):
                continue
            features = np.concatenate(encoded)
            encoded = []
            temporary = folder / "next"
            # By way of memory: NumPy's own writing to a file forgets why a disk refused it.
            buffer = io.BytesIO()
            np.save(buffer, features, allow_pickle=False)
            with temporary.open("wb") as file:
                file.write(buffer.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(folder / f"{start // cache.CHUNK_ROWS:08d}.npy")
            shown.add(len(pixels))
    return bad


def _chunks(
    images: _Images, first: int, n: int, *, workers: int
) -> Iterator[tuple[int, Tensor | list[BadImageError]]]:
    """Start row and pixels ``[n, 3, H, W]``, or bad images, of each chunk from row ``first`` on.

    Where the images are several versions of n rows, each chunk comes once in every version.
    """
    chunks = [
        list(range(version + start, version + min(start + cache.CHUNK_ROWS, n)))
        for start in range(first, n, cache.CHUNK_ROWS)
        for version in range(0, len(images), n)
    ]
    loader: DataLoader[Tensor | LpclipError] = DataLoader(
        images, batch_sampler=chunks, num_workers=workers, collate_fn=_stack
    )
    for chunk, pixels in zip(chunks, loader, strict=True):
        if isinstance(pixels, LpclipError):
            raise pixels
        yield chunk[0] % n, pixels


def _stack(items: Sequence[Tensor | LpclipError]) -> Tensor | list[BadImageError] | LpclipError:
    """Pixels ``[n, 3, H, W]`` of the images of a chunk; its bad images; or another error."""
    pixels = [item for item in items if isinstance(item, Tensor)]
    bad = [item for item in items if isinstance(item, BadImageError)]
    if len(pixels) + len(bad) < len(items):
        return next(item for item in items if isinstance(item, LpclipError) and item not in bad)
    return bad or torch.stack(pixels)


def _encode(
    pixels: Tensor, ids: Sequence[str], *, model: Model, views: Sequence[Views], batch_size: int
) -> FloatArray:
    """Features ``[sum of versions, n, D]`` float16 of all views of one chunk."""
    pixels = pixels.to(model.device)
    encoded = [
        torch.cat(
            [
                model.embed(view.make(pixels[i : i + batch_size], ids[i : i + batch_size], version))
                for i in range(0, len(pixels), batch_size)
            ]
        )
        for view in views
        for version in range(max(1, view.versions))
    ]
    features: FloatArray = torch.stack(encoded).half().cpu().numpy()
    return features


def _keep_only(folder: Path, identity: str) -> None:
    """Empty the folder unless its parts were made for this very cache."""
    note = folder / "identity.json"
    if not note.is_file() or note.read_text() != identity:
        for path in folder.iterdir():
            path.unlink()
        note.write_text(identity)


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.npy"))
