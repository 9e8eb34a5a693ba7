"""Predictions of a probe for images or for cached features."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
from scipy.special import softmax

from lpclip.data.base import UNLABELLED, Sample
from lpclip.data.registry import open_source
from lpclip.errors import BadImageError, LpclipError
from lpclip.metrics.ood_scores import max_logit, mcm
from lpclip.models.from_provenance import load_encoder
from lpclip.models.spec import PRECOMPUTED
from lpclip.storage.features import normalise, read_features, read_rows
from lpclip.storage.probes import HALF_WAY, Probes, between, place, read_probes
from lpclip.storage.untrusted import check_untrusted
from lpclip.types import FloatArray
from lpclip.utils.atomic import atomic_path
from lpclip.utils.progress import progress
from lpclip.utils.writable import check_output_file

if TYPE_CHECKING:
    from torch import Tensor

    from lpclip.models.clip import Model

Batch: TypeAlias = "tuple[list[int], Tensor | None, list[BadImageError]]"


@dataclass(frozen=True)
class Predictions:
    """Predictions for images."""

    table: pd.DataFrame  # one row per readable image, see ``predict``
    bad: Sequence[BadImageError]  # errors of the other images


def predict(
    *,
    probes: Path,
    inputs: Sequence[Path],
    round: int = -1,
    seed: int | None = None,
    top_k: int = 5,
    adapt: Path | None = None,
    checkpoint: Path | None = None,
    batch_size: int = 64,
    workers: int = 0,
    device: str = "auto",
    output: Path | None = None,
) -> Predictions:
    """Predict classes, confidence and OOD scores of images.

    Columns: id, path, prediction (the class), confidence (its probability); scores that are high
    for in-distribution and low for out-of-distribution (OOD) images: half_way_max_logit (of the
    head half-way from zero-shot to the probe), max_logit, mcm, and with ``adapt``
    nearest_neighbours and mahalanobis (an image of the adapt set is compared with the others of
    it); then class_2, confidence_2, …, the next most probable classes.

    Features are rounded to float16 as in caches, so that an image gets the same numbers as in the
    workflow.

    Args:
        probes: a ``probes.h5``.
        inputs: image files, folders of images, and feature caches (``.h5``, their clean view).
        round: of the probe, counted from 0, the zero-shot head; -1 is the last.
        seed: of the probe; None for the first seed of the method.
        top_k: number of classes to list.
        adapt: feature cache of the unlabelled images that the probe was adapted on, for the
            distance scores.
        checkpoint: weights of the model, if they are not where the probes file expects them.
        batch_size: images per forward pass.
        workers: processes that decode images; 0 decodes in this one.
        device: as ``lpclip.models.clip.load_model`` takes it.
        output: a ``.csv`` or ``.parquet`` file for the table; None for none.

    Raises:
        LpclipError: no images; no such round or seed; features of another model; a model that
            cannot be loaded or is another one; an output that cannot be written.
    """
    if output is not None:
        if output.suffix.lower() not in _WRITERS:
            raise LpclipError(f"{output} ends in neither {' nor '.join(_WRITERS)}.")
        check_output_file(output)
    for path in filter(None, (probes, adapt, *inputs)):
        if path.suffix.lower() == ".h5":
            check_untrusted(path)
    heads, provenance = read_probes(probes, pool_alone=True)
    round, seed_index = place(probes, heads, round=round, seed=seed)
    known = None if adapt is None else clean_features(adapt, provenance)
    scorer = _Scorer(heads, round, seed_index, _positive(top_k, "--top-k"), keep=known is not None)
    found = [_images(path) for path in inputs]
    if not any(found):
        raise LpclipError("No image was given. Name files, folders or feature caches (.h5).")
    model = None
    if any(isinstance(part, Sample) for parts in found for part in parts):
        _positive(batch_size, "--batch-size")
        if workers < 0:
            raise LpclipError(f"--workers takes a whole number from 0 on, not {workers}.")
        model = load_encoder(probes, provenance, checkpoint=checkpoint, device=device)
    tables, bad = [], list[BadImageError]()
    parts = (part for parts in found for part in parts)
    for is_cache, group in groupby(parts, key=lambda part: isinstance(part, Path)):
        if is_cache:
            for path in (part for part in group if isinstance(part, Path)):
                features, rows = clean_features(path, provenance), read_rows(path)
                tables.append(scorer.rows(list(rows["id"]), list(rows["path"]), features))
        else:
            assert model is not None
            images = [image for image in group if isinstance(image, Sample)]
            table, unread = _of_images(images, model, scorer, batch_size, workers)
            tables.append(table)
            bad += unread
    names = ("model", "architecture", "weights", "benchmark", "method")
    made_by = {name: provenance[name] for name in names if name in provenance}
    made_by |= {"probes": str(probes), "round": round, "seed": heads.seeds[seed_index]}
    table = pd.concat(tables, ignore_index=True)
    if known is not None:
        from lpclip.metrics.ood_features import feature_scores

        after = list(table).index("mcm") + 1
        for name, scores in reversed(feature_scores(scorer.kept(), known).items()):
            table.insert(after, name, scores)
    if output is not None:
        with atomic_path(output) as temporary:
            _WRITERS[output.suffix.lower()](table, temporary, made_by)
    return Predictions(table, bad)


def _write_csv(table: pd.DataFrame, path: Path, _made_by: Mapping[str, Any]) -> None:
    table.to_csv(path, index=False, float_format="%.9g")


def _write_parquet(table: pd.DataFrame, path: Path, made_by: Mapping[str, Any]) -> None:
    import pyarrow
    from pyarrow import parquet

    found = pyarrow.Table.from_pandas(table, preserve_index=False)
    metadata = {**(found.schema.metadata or {}), b"lpclip": json.dumps(made_by).encode()}
    parquet.write_table(found.replace_schema_metadata(metadata), path)


_WRITERS = {".csv": _write_csv, ".parquet": _write_parquet}


class _Scorer:
    """Computes rows of the table from features."""

    def __init__(
        self, heads: Probes, round: int, seed_index: int, top_k: int, *, keep: bool
    ) -> None:
        self._heads, self._place = heads, (round, seed_index)
        self._top_k = min(top_k, len(heads.class_names))
        self.width = heads.weight.shape[-1]
        self._kept: list[FloatArray] | None = [] if keep else None

    def kept(self) -> FloatArray:
        """Return the features ``[N, D]`` of all rows so far."""
        found: FloatArray = np.concatenate(self._kept or [np.empty((0, self.width), np.float32)])
        return found

    def rows(self, ids: Sequence[str], paths: Sequence[str], unit: FloatArray) -> pd.DataFrame:
        """Return one row per image; features ``[N, D]`` float32, of unit length."""
        if self._kept is not None:
            self._kept.append(unit)
        heads, (round, seed_index) = self._heads, self._place
        logits = heads.logits(unit, round, seed_index)
        # For an ensemble, scores are those of the mean head, as in the evaluation.
        weight, bias = heads.weight[round, seed_index], heads.bias[round, seed_index]
        half_weight = between(heads.weight[0, seed_index], weight, HALF_WAY)
        half_bias = between(heads.bias[0, seed_index], bias, HALF_WAY)
        probabilities = softmax(logits.astype(np.float64), axis=1)
        order = np.argsort(-logits, axis=1, kind="stable")[:, : self._top_k]
        sorted_ = np.take_along_axis(probabilities, order, axis=1)
        names = np.array(heads.class_names, dtype=object)
        columns: dict[str, Any] = {
            "id": list(ids),
            "path": list(paths),
            "prediction": names[order[:, 0]],
            "confidence": sorted_[:, 0],
            "half_way_max_logit": max_logit(heads.scale * (unit @ half_weight.T) + half_bias),
            "max_logit": max_logit(heads.scale * (unit @ weight.T) + bias),
            "mcm": mcm(unit @ normalise(weight).T),
        }
        for rank in range(1, self._top_k):
            columns[f"class_{rank + 1}"] = names[order[:, rank]]
            columns[f"confidence_{rank + 1}"] = sorted_[:, rank]
        return pd.DataFrame(columns)


def _images(path: Path) -> Sequence[Sample | Path]:
    """Resolve an argument to images, or to the path of a feature cache."""
    if path.suffix.lower() == ".h5":
        return [path]
    if path.is_dir():
        samples = open_source("folder", {"root": str(path), "labelled": False}).samples()
        if not samples:
            raise LpclipError(f"{path} has no images.")
        return samples
    if not path.exists():
        raise LpclipError(f"{path} does not exist.")
    return [Sample(path.name, str(path), UNLABELLED)]


def clean_features(path: Path, provenance: Mapping[str, Any]) -> FloatArray:
    """Read unit-length features of the probe's model."""
    # The hash identifies the model, except for features without known weights.
    keys = ("weights", "model") if provenance.get("weights") == PRECOMPUTED else ("weights",)
    expected = {key: provenance[key] for key in keys if key in provenance}
    return read_features(path, "clean", expected=expected)


def _of_images(
    images: Sequence[Sample], model: "Model", scorer: _Scorer, batch_size: int, workers: int
) -> tuple[pd.DataFrame, list[BadImageError]]:
    tables, bad = [], list[BadImageError]()
    with progress(total=len(images), unit="images", label="predict") as shown:
        for rows, pixels, unread in _batches(images, model, batch_size, workers):
            if pixels is not None:
                features = model.embed(pixels.to(model.device)).half().float().cpu().numpy()
                chosen = [images[row] for row in rows]
                ids, paths = [image.id for image in chosen], [image.path for image in chosen]
                tables.append(scorer.rows(ids, paths, normalise(features)))
            bad += unread
            shown.add(len(rows) + len(unread))
    empty = scorer.rows([], [], np.empty((0, scorer.width), np.float32))
    return pd.concat(tables, ignore_index=True) if tables else empty, bad


def _batches(
    images: Sequence[Sample], model: "Model", batch_size: int, workers: int
) -> Iterable[Batch]:
    """Return rows and pixels ``[B, 3, H, W]`` of readable images, and errors of others."""
    from torch.utils.data import DataLoader

    decode: Any = _Decode([image.path for image in images], model.to_pixels)
    return DataLoader(decode, batch_size, num_workers=workers, collate_fn=_gather)


class _Decode:
    """Row -> pixels or error; returned, since an exception would stop the worker pool."""

    def __init__(self, paths: Sequence[str], to_pixels: Any) -> None:
        self._paths, self._to_pixels = paths, to_pixels

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, row: int) -> "tuple[int, Tensor | BadImageError]":
        from lpclip.data.read_image import read_file

        try:
            return row, self._to_pixels(read_file(self._paths[row]))
        except BadImageError as error:
            return row, error


def _gather(items: "Sequence[tuple[int, Tensor | BadImageError]]") -> Batch:
    import torch

    whole = [(row, item) for row, item in items if isinstance(item, torch.Tensor)]
    bad = [item for _, item in items if isinstance(item, BadImageError)]
    pixels = torch.stack([item for _, item in whole]) if whole else None
    return [row for row, _ in whole], pixels, bad


def _positive(value: int, option: str) -> int:
    if value < 1:
        raise LpclipError(f"{option} takes a positive whole number, not {value}.")
    return value
