"""Pictures for the page: test images that a method fixes or breaks, every corruption and severity.

Every picture is a PNG or JPEG as a ``data:`` text, so that the page needs no other file.
"""

import base64
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from scipy.special import softmax
from torch import Tensor

from lpclip.corruption_names import FAMILIES
from lpclip.data.base import UNLABELLED
from lpclip.data.official import paths_of_views
from lpclip.data.registry import open_source
from lpclip.evaluation.common import checked_labels, covers_pool, round_logits, views_of
from lpclip.features.images import LARGEST_CIFAR_PIXELS
from lpclip.storage.attributes import Attributes
from lpclip.storage.features import read_rows, view_settings
from lpclip.storage.hdf5 import read_provenance
from lpclip.storage.probes import read_probes
from lpclip.storage.samples import read_samples
from lpclip.transforms.corruptions.registry import CORRUPTION_KINDS, corrupt, corrupt_by
from lpclip.types import BoolArray, FloatArray, IntArray, OutputFile
from lpclip.utils.atomic import atomic_path
from lpclip.utils.rng import keys
from lpclip.utils.settings import build

PER_ROW = 10
_LISTED = 200  # paths of images that a method fixed or broke
_SIDE = 96  # pixels of a picture at most
_SMALL = 64  # smaller ones are exact, as PNG


def pictures(
    *,
    probes: Sequence[Path],
    features: Sequence[Path],
    output: OutputFile,
    source: Mapping[str, Any],
    official_source: Mapping[str, Any] | None = None,
    samples: Path | None = None,
) -> None:
    """Write the pictures of one benchmark with one model, as JSON.

    Args:
        probes: of every method.
        features: feature caches: the test set's clean view first, then its corruptions and the
            published ones, whose settings are in them.
        output: JSON with ``model``, ``benchmark``; ``clean`` and ``examples`` (name, images by
            severity) of one test image as the model sees it; ``official_examples``, the same of
            the first image of the published corruptions; ``changes`` (method; fixed, broken: the
            images whose probability of the true class changed most against zero-shot; n_fixed,
            n_broken; fixed_paths, broken_paths: of those that changed most, at most 200).
        source: ``kind`` and settings of the test set's images.
        official_source: the same of the published corruptions, where there are any.
        samples: index of the test set with its labels; without it there are no changes.
    """
    settings = dict(source)
    opened = open_source(settings.pop("kind"), settings)
    index = read_rows(features[0])
    provenance = read_provenance(probes[0], kind="probes")
    names = {key: provenance[key] for key in ("model", "benchmark")}
    first = index.iloc[0]
    clean = _as_model_sees(opened.read(first["path"]), read_provenance(features[0]))
    changes = []
    if samples is not None:
        seen: dict[str, str] = {}  # path -> picture; methods share many
        for path in probes:
            for change in _changes(path, features[0], samples):
                for image in (*change["fixed"], *change["broken"]):
                    if image["path"] not in seen:
                        seen[image["path"]] = picture(opened.read(image["path"]))
                    image["image"] = seen[image["path"]]
                changes.append(change)
    text = json.dumps(
        {
            **names,
            "clean": picture(_to_image(clean)),
            "examples": [
                example
                for path in features[1:]
                for example in _examples(clean, str(first["id"]), read_provenance(path))
            ],
            "official_examples": [
                example
                for path in features[1:]
                for example in _official_examples(path, official_source)
            ],
            "changes": changes,
        },
        ensure_ascii=False,
    )
    with atomic_path(output) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _changes(path: Path, clean: Path, samples: Path) -> Iterator[dict[str, Any]]:
    """Return what the first seed of a method fixed and broke; nothing for zero-shot itself."""
    heads, provenance = read_probes(path, pool_alone=True)
    if provenance["method_kind"] == "zero_shot":
        return
    truth = checked_labels(samples, clean, heads).of_benchmark
    index = read_samples(samples, labels=False)
    _, _, values = next(views_of(clean, provenance))
    of_pool = covers_pool(heads, provenance, clean)
    before, zero_shot = _predicted(round_logits(heads, values, 0, 0), truth)
    after, predicted = _predicted(round_logits(heads, values, -1, 0, of_pool=of_pool), truth)
    was, now = zero_shot == truth, predicted == truth
    rows = np.flatnonzero(truth != UNLABELLED)
    gain = np.zeros(len(truth))
    gain[rows] = after[rows] - before[rows]

    def described(wanted: BoolArray, order: FloatArray, name: str) -> dict[str, Any]:
        chosen = [row for row in np.argsort(order, kind="stable") if wanted[row]]
        shown = [
            {
                "id": str(index["id"][row]),
                "path": str(index["path"][row]),
                "label": heads.class_names[truth[row]],
                "zero_shot": heads.class_names[zero_shot[row]],
                "prediction": heads.class_names[predicted[row]],
                "before": round(float(before[row]), 4),
                "after": round(float(after[row]), 4),
            }
            for row in chosen[:PER_ROW]
        ]
        paths = [str(index["path"][row]) for row in chosen[:_LISTED]]
        return {name: shown, f"n_{name}": len(chosen), f"{name}_paths": paths}

    yield {
        "method": str(provenance["method"]),
        **described(~was & now, -gain, "fixed"),
        **described(was & ~now, gain, "broken"),
    }


def _predicted(
    blocks: Iterable[tuple[slice, FloatArray]], truth: IntArray
) -> tuple[FloatArray, IntArray]:
    """Return the probability of the true class (the last for none) and the prediction, ``[N]``."""
    found = []
    for rows, logits in blocks:
        probabilities = softmax(logits, axis=-1)
        of_truth = probabilities[np.arange(len(logits)), truth[rows]]
        found.append((of_truth, probabilities.argmax(axis=-1)))
    of_truth, predicted = (np.concatenate(part) for part in zip(*found, strict=True))
    return of_truth, predicted


def _examples(clean: Tensor, identifier: str, provenance: Attributes) -> Iterator[dict[str, Any]]:
    """Return every corruption of a cache at its severities, made as for the cache."""
    for name, settings in _views_of(provenance, official=False):
        if "kind" in settings:
            yield {"name": name, "images": _examples_of_kind(clean, identifier, provenance, name)}
            continue
        parameters = settings.get("parameters", "auto")
        if parameters == "auto":
            small = clean.shape[-1] <= LARGEST_CIFAR_PIXELS
            parameters = "cifar" if small else "imagenet"
        frost = settings.get("frost_images")
        images = {}
        for severity in settings["severities"]:
            changed = corrupt(
                clean[None],
                name=name,
                severity=severity,
                keys=keys(int(provenance["seed"]), [identifier], f"{name}/{severity}"),
                parameters=parameters,
                frost_images=Path(frost) if frost else None,
            )[0]
            images[str(severity)] = picture(_to_image(changed))
        yield {"name": name, "images": images}


def _examples_of_kind(
    clean: Tensor, identifier: str, provenance: Attributes, name: str
) -> dict[str, str]:
    """Return a plugin's corruption at its severities, made as for the cache."""
    view = view_settings(provenance.path)[name]
    options = build(CORRUPTION_KINDS.load(view["kind"]).Settings, view["settings"], where=name)
    images = {}
    for severity in view["severities"]:
        of_image = keys(int(provenance["seed"]), [identifier], f"{name}/{severity}")
        changed = corrupt_by(
            clean[None], kind=view["kind"], settings=options, severity=severity, keys=of_image
        )
        images[str(severity)] = picture(_to_image(changed[0]))
    return images


def _official_examples(path: Path, source: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
    """Return the first image of a cache of published corruptions, as read from their files."""
    provenance = read_provenance(path)
    views = _views_of(provenance, official=True)
    if source is None or not views:
        return
    settings = dict(source)
    opened = open_source(settings.pop("kind"), settings)
    first = read_rows(path).iloc[0]
    for name, options in views:
        paths = paths_of_views(opened, [str(first["path"])], {name: options})
        images = [_as_model_sees(opened.read(place), provenance) for place in paths]
        yield {
            "name": name,
            "images": {
                str(severity): picture(_to_image(image))
                for severity, image in zip(options["severities"], images, strict=True)
            },
        }


def _views_of(provenance: Attributes, *, official: bool) -> list[tuple[str, Mapping[str, Any]]]:
    """Return a cache's corruptions with their settings, in the order of the published list."""
    views = view_settings(provenance.path)
    known = [name for names in FAMILIES.values() for name in names if name in views]
    of_plugins = [name for name in views if "kind" in views[name]]
    return [
        (name, views[name])
        for name in (*known, *of_plugins)
        if bool(views[name].get("official")) == official
    ]


def _as_model_sees(image: Image.Image, provenance: Attributes) -> Tensor:
    """Return the pixels ``[3, H, W]`` in 0..1, resized and cropped as for the cache."""
    transform = image_transform_v2(
        PreprocessCfg(**provenance.json("preprocessing")), is_train=False
    )
    pixels: Any = image
    for step in transform.transforms[:-1]:  # the last one normalises
        pixels = step(pixels)
    seen: Tensor = pixels
    return seen


def _to_image(pixels: Tensor) -> Image.Image:
    levels = (pixels * 255).round().clamp(0, 255).byte().permute(1, 2, 0)
    return Image.fromarray(levels.numpy())


def picture(image: Image.Image, *, side: int = _SIDE) -> str:
    """Return the image, of at most ``side`` pixels, as a ``data:`` text."""
    image = image.convert("RGB")
    small = max(image.size) <= _SMALL
    image.thumbnail((side, side))
    buffer = io.BytesIO()
    if small:
        image.save(buffer, format="PNG", optimize=True)
    else:
        image.save(buffer, format="JPEG", quality=82)
    kind = "png" if small else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
