"""Files with clusters for self-training to learn, and a zero-shot head biased towards one class."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd

from lpclip.methods.kinds.self_training import Settings, fit
from lpclip.methods.labelling.pseudo_labels import label
from lpclip.methods.labelling.settings import Labelling
from lpclip.methods.training.settings import Optimisation
from lpclip.storage.features import normalise, read_features, write_features
from lpclip.storage.pseudo_labels import write_pseudo_labels
from lpclip.storage.samples import fingerprint
from lpclip.storage.text import ZeroShotHead, text_fingerprint
from tests.helpers.dense import mean_prediction


def plain(**changes):
    """Return a labelling without the corrections that depend on the whole set."""
    return Labelling(
        **{"temperature": 1.0, "structure": 0.0, "prior": "none", "class_floor": 0.0} | changes
    )


N, C, D, SCALE = 150, 3, 12, 12.0
MODEL = {"model": "tiny", "weights": "3f9a"}
SETTINGS = Settings(
    rounds=3,
    class_weighting=0.0,
    labelling=plain(threshold=0.4, prior="align"),
    optimisation=Optimisation(epochs=8, batch_size=64, learning_rate=0.01),
)


class World:
    """Linearly separable clusters, and a zero-shot head biased towards the first class."""

    def __init__(self, folder):
        rng = np.random.default_rng(0)
        centres = np.linalg.qr(rng.normal(size=(D, D)))[0][:C]
        self.labels = np.arange(N) % C
        clean = centres[self.labels] + 0.2 * rng.normal(size=(N, D))
        views = [clean + 0.05 * rng.normal(size=(N, D)) for _ in range(4)]
        tilted = centres + 1.3 * centres[0] + 0.2 * rng.normal(size=(C, D))
        self.head = ZeroShotHead(
            weight=normalise(tilted.astype(np.float32)),
            bias=0.0,
            scale=SCALE,
            class_names=("a", "b", "c"),
            expected=dict(MODEL),
        )
        self.clean = normalise(clean.astype(np.float32))
        samples = pd.DataFrame({"id": [f"s{i}" for i in range(N)], "path": ["x"] * N})
        self.index = fingerprint(samples)
        self.adapt, self.first = folder / "adapt.h5", folder / "pseudo_labels.h5"
        write_features(
            self.adapt,
            samples=samples,
            versions={"weak": 2, "strong": 2},
            parts=[np.stack(views).astype(np.float16)],
            provenance={
                **MODEL,
                "dataset": "adapt",
                "index": self.index,
                "views": '{"strong": {"policy": "disjoint"}, "weak": {}}',
            },
        )
        self.weak = read_features(self.adapt, "weak", expected={})

    def write_labels(self, labelling, /, class_index=None, **more):
        logits = SCALE * self.weak @ self.head.weight.T
        made = label(mean_prediction(logits / labelling.temperature), labelling)
        if class_index is not None:
            made = replace(made, class_index=class_index.astype(np.int32))
        provenance = {
            **MODEL,
            "index": self.index,
            "text": text_fingerprint(self.head.weight),
            "labelling": json.dumps(vars(labelling), sort_keys=True),
            **more,
        }
        write_pseudo_labels(
            self.first,
            made,
            ids=[f"s{i}" for i in range(N)],
            class_names=self.head.class_names,
            provenance=provenance,
        )
        return made

    def fit(self, settings=SETTINGS, seeds=(0, 1), class_index=None):
        self.write_labels(settings.labelling, class_index)
        return fit(
            self.head, {"pseudo_labels": self.first, "adapt": self.adapt}, settings, list(seeds)
        )

    def accuracy(self, probes, round, seed_index=0):
        logits = (
            SCALE * self.clean @ probes.weight[round, seed_index].T + probes.bias[round, seed_index]
        )
        return float(np.mean(logits.argmax(axis=1) == self.labels))
