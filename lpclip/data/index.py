"""Index a dataset: list its images in the order that all later stages keep.

Only this stage decides which rows exist. With ``on_bad_image: skip`` it therefore reads every image
once, so that ids, labels and the features of every model and pass belong to the same rows. With
``error`` it reads none, and the first pass that meets an unreadable image fails.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from lpclip.data.base import Sample, Source, problems_of
from lpclip.data.class_maps import ClassMap, MappedSource
from lpclip.data.image_sizes import sizes_of
from lpclip.data.listing import Listing
from lpclip.data.registry import SourceSettings, has_images, open_source
from lpclip.data.repeated import refuse_repeated
from lpclip.data.subsets import Stratified, choose
from lpclip.data.unreadable import reasons_unreadable
from lpclip.errors import BadImageError, LpclipError, bad_images
from lpclip.storage.samples import fingerprint, write_samples
from lpclip.storage.tables import Blocks
from lpclip.types import IntArray, OutputFile
from lpclip.utils.settings import Count, Seed

log = logging.getLogger(__name__)

OnBadImage: TypeAlias = Literal["error", "skip"]
# Rows of the table that are in memory as a frame at once.
_BLOCK_ROWS = 1 << 16
_ODD_NAME = "its name is not UTF-8"


def index_samples(
    *,
    output: OutputFile,
    dataset: str,
    source: SourceSettings,
    class_map: ClassMap | None = None,
    limit: Count | None = None,
    stratified: Stratified | None = None,
    seed: Seed = 0,
    on_bad_image: OnBadImage = "error",
    workers: int = 0,
) -> None:
    """Write id, path, label and size in bytes of every image of a dataset.

    Args:
        output: the index, ``samples.h5``; in the cache the only file that holds labels.
        dataset: name of the dataset.
        source: ``kind`` and the settings of that kind of image source.
        class_map: new names of the classes, see ``lpclip.data.class_maps``.
        limit: maximum number of images.
        stratified: how many images of every class to take, see ``lpclip.data.subsets``.
        seed: of the choice of images by ``limit`` and ``stratified``.
        on_bad_image: ``skip`` reads every chosen image and leaves out those that cannot be read;
            the table ``skipped`` of the index lists them with the reasons.
        workers: processes that read images; 0 reads in this one.

    Raises:
        LpclipError: the source refuses its settings, is empty, or repeats an id; or no image is
            left.
    """
    opened = open_dataset(source, class_map)
    names = opened.class_names
    if stratified is not None and names is None:
        raise LpclipError(f"Dataset '{dataset}' has no labels to be stratified by.")
    listed = opened.samples()
    if not listed:
        raise LpclipError(f"Dataset '{dataset}' has no images.")
    refuse_repeated(listed, where=f"Dataset '{dataset}'")
    chosen = choose(listed, limit=limit, stratified=stratified, seed=seed)
    skip = on_bad_image == "skip" and has_images(source)
    problems = problems_of(opened)
    reasons = _reasons(dataset, source, chosen, problems, skip=skip, workers=workers)
    kept = chosen
    if any(reasons):
        pairs = zip(chosen, reasons, strict=True)
        kept = Listing(sample for sample, reason in pairs if not reason)
    sizes = sizes_of(opened, (sample.path for sample in kept))
    samples = Blocks(len(kept), partial(_blocks, kept, sizes))
    provenance: dict[str, str | int] = {
        "dataset": dataset,
        "source": json.dumps(dict(source), sort_keys=True),
        "class_names": json.dumps(None if names is None else list(names)),
        "index": fingerprint(samples.read()),
        "listed": len(listed),
        "on_bad_image": on_bad_image,
    }
    skipped = _skipped(chosen, reasons) if skip else None
    write_samples(output, samples, provenance, skipped=skipped)
    log.info("indexed %d images of %s, which lists %d", len(kept), dataset, len(listed))
    if len(kept) < len(chosen):
        log.warning("left out %d images that cannot be read", len(chosen) - len(kept))


def _blocks(samples: Sequence[Sample], sizes: IntArray) -> Iterator[pd.DataFrame]:
    """Iterate over the table of an index, some rows at a time."""
    rows = iter(samples)
    for start in range(0, len(samples), _BLOCK_ROWS):
        block = pd.DataFrame(islice(rows, _BLOCK_ROWS), columns=["id", "path", "label"])
        block["label"] = block["label"].astype(np.int32)
        block["size"] = sizes[start : start + len(block)]
        yield block


def open_dataset(source: Mapping[str, Any], class_map: ClassMap | None = None) -> Source:
    """Open a dataset's source, with renamed classes if there is a map."""
    settings = dict(source)
    opened = open_source(settings.pop("kind"), settings)
    return opened if class_map is None else MappedSource(opened, class_map)


def _reasons(
    dataset: str,
    source: Mapping[str, Any],
    samples: Sequence[Sample],
    problems: Mapping[str, str],
    *,
    skip: bool,
    workers: int,
) -> list[str]:
    """Return for each sample the reason to leave it out, or ""; refuse any without ``skip``."""
    incomplete = [problems[sample.path] for sample in samples if sample.path in problems]
    if incomplete and not skip:
        raise LpclipError(
            f"{incomplete[0]} Of {len(samples):,} samples, {len(incomplete):,} are incomplete. "
            f"Complete them, or set on_bad_image: skip for the dataset '{dataset}'."
        )
    reasons = [_ODD_NAME if _is_odd(one) else problems.get(one.path, "") for one in samples]
    if skip:
        paths = [one.path for one, reason in zip(samples, reasons, strict=True) if not reason]
        found = iter(reasons_unreadable(source, paths, workers=workers))
        reasons = [reason or next(found) for reason in reasons]
    pairs = zip(samples, reasons, strict=True)
    bad = [BadImageError(_printable(one.path), reason) for one, reason in pairs if reason]
    if bad and not skip:
        advice = f"Rename them, or set on_bad_image: skip for the dataset '{dataset}'."
        raise bad_images(bad, advice)
    if len(bad) == len(samples):
        raise bad_images(bad, f"No image of the dataset '{dataset}' is left.")
    return reasons


def _skipped(samples: Sequence[Sample], reasons: Sequence[str]) -> pd.DataFrame:
    pairs = zip(samples, reasons, strict=True)
    rows = [(_printable(one.id), _printable(one.path), reason) for one, reason in pairs if reason]
    return pd.DataFrame(rows, columns=["id", "path", "reason"])


def _is_odd(sample: Sample) -> bool:
    return _printable(sample.id) != sample.id or _printable(sample.path) != sample.path


def _printable(text: str) -> str:
    """Escape what is not valid UTF-8 (in names of old files)."""
    return text.encode("utf-8", "backslashreplace").decode()
