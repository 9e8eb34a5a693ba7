"""Heads that a guard may ship, trained on the part of an unlabelled set that is learned."""

import logging
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from lpclip.errors import LpclipError
from lpclip.methods.adapters.gaussian import gaussian_head
from lpclip.methods.adapters.inmap import inmap_head
from lpclip.methods.adapters.otter import otter_head
from lpclip.methods.adapters.stata import stata_head
from lpclip.methods.adapters.transclip import transclip_head
from lpclip.methods.base import after_zero_shot
from lpclip.methods.labelling.part import Part
from lpclip.methods.training.other_classes import complete
from lpclip.methods.training.pool import Pool
from lpclip.methods.training.self_training import self_train
from lpclip.methods.training.self_training_settings import Settings
from lpclip.storage.probes import Probes
from lpclip.storage.stored_views import Views, some_images
from lpclip.storage.text import ZeroShotHead
from lpclip.types import FloatArray

log = logging.getLogger(__name__)

HEADS: Mapping[str, Callable[[Views, ZeroShotHead], tuple[FloatArray, FloatArray]]] = {
    "transclip": transclip_head,
    "stata": stata_head,
    "inmap": inmap_head,
    "otter": otter_head,
    "gaussian": gaussian_head,
}
# Multiply-adds in an hour: 10 thousand million a second, what two cores do at least.
_IN_AN_HOUR = 3.6e13


def train_candidates(
    head: ZeroShotHead,
    pool_of: Callable[[Settings], Pool],
    part: Part,
    seeds: Sequence[int],
    *,
    trained: Mapping[str, Settings],
    adapters: Sequence[str],
    hours: float,
    after_candidate: Callable[[int], None] = lambda _: None,
) -> dict[str, Probes]:
    """Train every candidate on the classes and images that are learned.

    Args:
        head: zero-shot.
        pool_of: the unlabelled set with the views that settings of self-training want.
        part: what is learned; the other classes keep what zero-shot gives them.
        seeds: S seeds.
        trained: settings of self-training by name.
        adapters: names in ``HEADS``.
        hours: candidates whose training takes longer, by the number of operations, are left out.
        after_candidate: called with 1 after every candidate.

    Returns:
        Probes of all classes by name.

    Raises:
        LpclipError: all self-training takes longer.
    """
    found: dict[str, Probes] = {}
    views: Views | None = None
    for name, settings in trained.items():
        pool = pool_of(settings)
        views = pool.teacher
        took = operations(pool, settings, len(part.classes)) * len(seeds) / _IN_AN_HOUR
        if took > hours:
            text = "'%s' is left out: its training takes about %.1f hours, more than %g"
            log.warning(text, name, took, hours)
        else:
            found[name] = self_train(head, pool, settings, seeds, part=part)
        after_candidate(1)
    if not found:
        raise LpclipError(
            f"the training of every candidate takes more than {hours:g} hours. Allow more (hours), "
            "or name candidates with fewer rounds or epochs."
        )
    assert views is not None, "a guard has a candidate"
    some = views if len(part.rows) == part.n_samples else some_images(views, part.rows)
    learned = head.of(part.classes)
    for name in adapters:
        # Nothing is random: the head is that of every seed.
        weight, bias = (
            np.repeat(one[None, None], len(seeds), 0) for one in HEADS[name](some, learned)
        )
        probes = after_zero_shot(learned, weight, bias, seeds, seen=None)
        found[name] = complete(probes, head, part, some)
        after_candidate(1)
    return found


def operations(pool: Pool, settings: Settings, n_classes: int) -> float:
    """Return the multiply-adds of one seed's training: forwards, and backwards twice as many."""
    versions, n_samples, dim = pool.student.shape
    passes = settings.rounds * settings.optimisation.epochs
    return float(3 * passes * versions * n_samples * n_classes * dim)
