"""Files with overlapping labelled clusters, for methods that use labels."""

import json

import numpy as np
import pandas as pd

from lpclip.storage import samples as samples_file
from lpclip.storage.features import read_features, write_features
from lpclip.storage.text import ZeroShotHead

D, SCALE = 6, 10.0
MODEL = {"model": "tiny", "weights": "3f9a"}


def world(folder, n_classes, labels=None):
    """Overlapping clusters, their caches, and a head."""
    rng = np.random.default_rng(n_classes)
    labels = np.arange(90) % n_classes if labels is None else np.asarray(labels)
    values = np.eye(n_classes, D)[np.clip(labels, 0, n_classes - 1)]
    values = values + 0.5 * rng.normal(size=(len(labels), D))
    names = "abcd"[: max(n_classes, labels.max() + 1)]
    samples = write_samples(folder / "samples.h5", labels, names)
    write_features(
        folder / "clean.h5",
        samples=samples,
        versions={"clean": 0},
        parts=[values[None].astype(np.float16)],
        provenance=MODEL,
    )
    head = ZeroShotHead(
        weight=np.eye(n_classes, D, dtype=np.float32),
        bias=0.0,
        scale=SCALE,
        class_names=tuple("abcd"[:n_classes]),
        expected=dict(MODEL),
    )
    features = read_features(folder / "clean.h5", "clean", expected={})
    inputs = {"clean": folder / "clean.h5", "samples": folder / "samples.h5"}
    return head, inputs, features, labels


def write_samples(path, labels, names):
    """Write an index with one image per label, and these class names."""
    samples = pd.DataFrame(
        {"id": [f"s{i}" for i in range(len(labels))], "path": "x", "label": labels.astype(np.int32)}
    )
    provenance = {"class_names": json.dumps(list(names))}
    samples_file.write_samples(path, samples, provenance)
    return samples


def softmax(logits):
    exponent = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponent / exponent.sum(axis=1, keepdims=True)
