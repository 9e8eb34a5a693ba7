"""Train candidates, examine them and keep the one that the guard ships."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from lpclip.methods.labelling.part import learned_part
from lpclip.methods.labelling.settings import Labelling
from lpclip.methods.training.candidates import train_candidates
from lpclip.methods.training.evidence import ExaminedImages
from lpclip.methods.training.guard import STRENGTHS, Candidate, Decision, decide, mean_evidence
from lpclip.methods.training.pool import Pool
from lpclip.methods.training.rounds import COLLAPSED
from lpclip.methods.training.self_training_settings import Settings
from lpclip.storage.probes import Probes, between
from lpclip.storage.stored_views import some_images
from lpclip.storage.text import ZeroShotHead

ADAPTERS = ("stata", "transclip")


def train_guarded(
    head: ZeroShotHead,
    pool_of: Callable[[Settings], Pool],
    trained: Mapping[str, Settings],
    seeds: Sequence[int],
    *,
    adapters: Sequence[str] = ADAPTERS,
    hours: float = 24.0,
    after_candidate: Callable[[int], None] = lambda _: None,
    keep: Callable[[Mapping[str, Probes]], None] = lambda _: None,
) -> Probes:
    """Return the rounds of the candidate that is shipped, as near to zero-shot as is decided.

    Args:
        head: zero-shot.
        pool_of: the unlabelled set with the views that settings of self-training want.
        trained: candidates by self-training, in the order in which they are preferred.
        seeds: S seeds.
        adapters: further candidates, see ``train_candidates``.
        hours: of a candidate, likewise.
        after_candidate: called with 1 after every candidate.
        keep: called with the probes of all candidates by name.
    """
    views = pool_of(next(iter(trained.values()))).teacher
    part = learned_part(head, views, Labelling())
    candidates = train_candidates(
        head,
        pool_of,
        part,
        seeds,
        trained=trained,
        adapters=adapters if len(part.classes) > 1 else (),
        hours=hours,
        after_candidate=after_candidate,
    )
    keep(candidates)
    kinds = {name: settings.labelling.prior for name, settings in trained.items()}
    some = views if len(part.rows) == part.n_samples else some_images(views, part.rows)
    decision = examine(ExaminedImages(head, some, part), candidates, kinds)
    probes = candidates[decision.candidate]
    return replace(
        probes,
        weight=between(probes.weight[:1], probes.weight, decision.strength),
        bias=between(probes.bias[:1], probes.bias, decision.strength),
        guard=decision.table,
    )


def examine(
    images: ExaminedImages, candidates: Mapping[str, Probes], kinds: Mapping[str, str]
) -> Decision:
    """Gather the evidence on all candidates, and decide.

    Args:
        images: the unlabelled images.
        candidates: their probes by name.
        kinds: how they were trained, a key of ``TRUST``; adapters are named by themselves.
    """
    part = images.part
    n_seeds = len(next(iter(candidates.values())).seeds)
    predicted = {
        name: [images.predicted(probes.weight[-1, s], probes.bias[-1, s]) for s in range(n_seeds)]
        for name, probes in candidates.items()
    }
    examined = []
    for name, probes in candidates.items():
        evidence = {
            strength: mean_evidence(
                [
                    images.gather(
                        between(probes.weight[0, s], probes.weight[-1, s], strength),
                        between(probes.bias[0, s], probes.bias[-1, s], strength),
                        [classes[s] for other, classes in predicted.items() if other != name],
                    )
                    for s in range(n_seeds)
                ]
            )
            for strength in STRENGTHS
        }
        collapsed = bool((probes.rounds["status"] == COLLAPSED).any())
        examined.append(Candidate(name, kinds.get(name, name), evidence, collapsed))
    return decide(examined, images=len(part.rows), classes=len(part.classes), reason=part.reason)
