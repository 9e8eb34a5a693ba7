"""Adapters on features of genuine CLIP models, where there are some, against known accuracies.

``LPCLIP_GENUINE_FEATURES`` names their folder, see benchmarks/README.md. Every pool is the test set
itself. The accuracies are those of other implementations with the defaults of the papers;
TransCLIP's on WHURS19 are those that its authors publish.
"""

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from lpclip.methods.adapters.inmap import inmap_head
from lpclip.methods.adapters.lame import lame_probabilities
from lpclip.methods.adapters.stata import stata, stata_head
from lpclip.methods.adapters.tda import tda_probabilities
from lpclip.methods.adapters.transclip import transclip, transclip_head
from lpclip.methods.adapters.zlap import zlap_probabilities
from lpclip.storage.features import normalise
from lpclip.storage.text import ZeroShotHead

FOLDER = os.environ.get("LPCLIP_GENUINE_FEATURES", "")
pytestmark = pytest.mark.skipif(not FOLDER, reason="LPCLIP_GENUINE_FEATURES names no folder")

# Set -> file, and whether its pool is the whole set or the test part alone.
SETS = {
    "food24": ("clip-vit-b32-food24.npz", False),
    "caltech65": ("clip-vit-b32-caltech65.npz", False),
    "whurs19": ("clip-vit-b32-whurs19.npz", True),
    "whurs19 RN50": ("clip-rn50-whurs19.npz", True),
    "whurs19 GeoRSCLIP": ("georsclip-vit-l14-whurs19.npz", True),
}
KNOWN = {
    "transclip": (89.7, 94.7, 90.3, 95.9, 98.9),
    "stata": (89.2, 94.4, 90.6, 94.5, 98.8),
    "zlap": (91.7, 94.5, 82.8, 78.1, 90.2),
    "lame": (88.6, 95.3, 92.3, 84.9, 93.4),
    "inmap": (93.6, 78.0, 89.7, 84.3, 95.6),
}
CELLS = [
    (method, name, accuracy)
    for method, row in KNOWN.items()
    for name, accuracy in zip(SETS, row, strict=True)
]


@cache
def read(name):
    """Return features ``[1, N, D]``, labels ``[N]`` and the zero-shot head of a set."""
    file, whole = SETS[name]
    path = Path(FOLDER) / file
    if not path.exists():
        pytest.skip(f"there is no {path}")
    with np.load(path, allow_pickle=False) as arrays:
        parts = ("adapt", "test") if whole else ("test",)
        features = np.concatenate([arrays[part] for part in parts]).astype(np.float32)
        labels = np.concatenate([arrays[f"{part}_labels"] for part in parts])
        text, names = arrays["text"], tuple(map(str, arrays["classes"]))
    head = ZeroShotHead(text, 0.0, 100.0, names, {"model": "clip", "weights": "w"})
    return normalise(features)[None], labels, head


def accuracy(scores, labels):
    return 100 * np.mean(scores.argmax(axis=1) == labels)


def by_head(views, head, made):
    weight, bias = made
    return head.scale * views[0] @ weight.T + bias


def predict(method, views, head):
    if method in ("transclip", "stata"):
        return {"transclip": transclip, "stata": stata}[method](views, head)[1]
    if method == "inmap":
        return by_head(views, head, inmap_head(views, head))
    return {"zlap": zlap_probabilities, "lame": lame_probabilities}[method](views, head)


@pytest.mark.parametrize(("method", "name", "known"), CELLS)
def test_a_pool_is_predicted_as_well_as_others_found(method, name, known):
    views, labels, head = read(name)
    assert accuracy(predict(method, views, head), labels) == pytest.approx(known, abs=0.6)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("method", ["transclip", "stata"])
def test_the_head_alone_is_nearly_as_good_as_with_neighbours(method, name):
    views, labels, head = read(name)
    made = {"transclip": transclip_head, "stata": stata_head}[method](views, head)
    together = accuracy(predict(method, views, head), labels)
    assert accuracy(by_head(views, head, made), labels) == pytest.approx(together, abs=0.7)


def test_tda_depends_on_the_order_by_more_than_it_differs_from_others():
    views, labels, head = read("food24")
    found = []
    for seed in range(10):
        order = np.random.default_rng(seed).permutation(len(labels))
        found.append(accuracy(tda_probabilities(views[:, order], head), labels[order]))
    assert min(found) - 0.3 <= 86.9 <= max(found)
