"""Temperature scaling of any method's last probes, fitted on labels (Guo et al. 2017)."""

import logging
from collections.abc import Sequence

import numpy as np

from lpclip.errors import LpclipError
from lpclip.methods.base import Inputs
from lpclip.methods.training.from_probes import change_last, read_base
from lpclip.methods.training.labelled import Labelled, read_labelled
from lpclip.storage.probes import Probes, mean_of_members
from lpclip.storage.text import ZeroShotHead
from lpclip.types import BoolArray, FloatArray, IntArray
from lpclip.utils.settings import Count, settings_class

log = logging.getLogger(__name__)

NEEDS: tuple[str, ...] = ("clean", "probes", "samples")

# A head that is right about every label would have infinite confidence.
LOG_TEMPERATURES = (np.log(0.01), np.log(100.0))


@settings_class
class Settings:
    """What is scaled, and by which labels."""

    method: str
    """The method whose last probes are scaled."""
    labels: Count = 100
    """Labels of the adapt set that the temperature is fitted on, sampled by the seed from those
    that the method has not seen."""


def fit(head: ZeroShotHead, inputs: Inputs, settings: Settings, seeds: Sequence[int]) -> Probes:
    """Divide the other method's last round by its temperature; round 0 is the zero-shot head.

    The temperature of each seed minimises the negative log-likelihood of the labels; that of
    members divides the logits of every member.
    """
    base = read_base(head, inputs, settings.method, seeds)
    everything = read_labelled(head, inputs, per_class=0)
    seen = base.labels_seen
    if seen is None:
        seen = np.zeros((len(seeds), everything.size), dtype=bool)
    sampled = [
        _sample(everything, row, settings, seed) for row, seed in zip(seen, seeds, strict=True)
    ]
    weight, bias = base.last()
    temperatures = np.array(
        [
            fit_temperature(
                head.scale * (part.features[:] @ weight[seed_index].mT) + bias[seed_index][:, None],
                part.labels,
            )
            for seed_index, part in enumerate(sampled)
        ],
        dtype=np.float32,
    )
    log.info("temperatures: %s", [f"{one:.4g}" for one in temperatures])
    weight, bias = weight / temperatures[:, None, None, None], bias / temperatures[:, None, None]
    seen = seen | np.stack([part.seen() for part in sampled])
    return change_last(head, base, weight, bias, seen=seen)


def fit_temperature(logits: FloatArray, labels: IntArray) -> float:
    """Return the temperature, in 0.01..100, with the least negative log-likelihood.

    Args:
        logits: ``[M, N, C]``, of members whose probabilities are averaged.
        labels: ``[N]``.
    """
    from scipy.optimize import minimize_scalar  # not at every start of Snakemake

    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        predicted = mean_of_members(logits / np.exp(log_temperature))
        return float(-predicted[rows, labels].mean())

    found = minimize_scalar(loss, bounds=LOG_TEMPERATURES, method="bounded")
    return float(np.exp(found.x))


def _sample(everything: Labelled, seen: BoolArray, settings: Settings, seed: int) -> Labelled:
    fresh = everything.take(~seen[everything.rows])
    if len(fresh.labels) < settings.labels:
        raise LpclipError(
            f"Temperature scaling of '{settings.method}' needs {settings.labels} labels that this "
            f"method has not seen; there are {len(fresh.labels)}. Set fewer labels, or leave "
            "some over with the method's label_share."
        )
    return fresh.take(np.sort(fresh.order(seed)[: settings.labels]))
