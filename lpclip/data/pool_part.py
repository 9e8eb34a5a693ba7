"""One part of a pool: which images of its source are kept, and under which labels."""

import json
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from lpclip.data.base import UNLABELLED, Sample, problems_of
from lpclip.data.registry import open_source
from lpclip.data.repeated import file_identity, place_identity, refuse_repeated
from lpclip.errors import LpclipError, check_known, listed
from lpclip.utils.rng import sample_key
from lpclip.utils.settings import build

PROFILES = ("long_tail", "linear")
# Settings of sources that choose among the arrays or columns of one file.
_WITHIN_FILES = ("key", "image_column", "name", "split", "revision")


@dataclass(frozen=True)
class Part:
    """What a pool takes from one source; its settings apply in the order of this list.

    Attributes:
        source: ``kind`` and settings of the image source.
        classes: names of the classes to take, all by default; labels index this list.
        keep: probability of keeping an image: one number, a list with one per class, or a
            profile over the C classes in their order, c = 0 … C-1: ``{long_tail: r}`` is
            r ** (-c / (C-1)), ``{linear: a}`` is 1 - a c.
        per_class: maximum number of images per class.
        n: maximum number of images.
        share: fraction of the whole pool, in [0, 1), that these images are.
        ood: whether the images are out-of-distribution: of none of the pool's classes, without a
            label.
    """

    source: Mapping[str, Any]
    classes: list[str | int] | None = None
    keep: float | list[float] | dict[str, float] = 1.0
    per_class: int | None = None
    n: int | None = None
    share: float | None = None
    ood: bool = False


class OpenPart:
    """One part: its checked settings, its open source, and the choice of its images."""

    def __init__(self, number: int, settings: Mapping[str, Any], seed: int) -> None:
        self.number, self.where, self._seed = number, f"parts.{number}", seed
        if isinstance(settings, Mapping) and "foreign" in settings:
            raise LpclipError(f"{self.where}: 'foreign' is now called 'ood'. Rename it.")
        self.settings = build(Part, settings, where=self.where)
        inside = dict(self.settings.source)
        kind = inside.pop("kind", None)
        if not isinstance(kind, str):
            raise LpclipError(f"{self.where}.source lacks the setting 'kind'.")
        try:
            self.source = open_source(kind, inside)
        except LpclipError as error:
            raise LpclipError(f"{self.where}: {error}") from error
        self._settings = json.dumps(dict(self.settings.source), sort_keys=True, default=str)
        self._array = tuple(str(inside.get(name)) for name in _WITHIN_FILES)
        names = self.source.class_names
        self._all_names = None if names is None else list(names)
        self.class_names = self._chosen_classes()
        self._check_numbers()
        self._keep = self._probabilities()

    def samples(self) -> list[Sample]:
        """Return the samples to keep, in the order of the source; all of a part with a share."""
        found = list(self.source.samples())
        refuse_repeated(found, where=f"{self.where}: its source")
        if self.settings.classes is not None:
            known = self._all_names or []
            labels = {known.index(name): i for i, name in enumerate(self.class_names or ())}
            kept = problems_of(self.source)  # of any class, to be refused or recorded later
            found = [
                s._replace(label=labels.get(s.label, UNLABELLED))
                for s in found
                if s.label in labels or s.path in kept
            ]
        found = [sample for sample in found if self._is_kept(sample)]
        if self.settings.per_class is not None:
            found = self._at_most_per_class(found, self.settings.per_class)
        return found if self.settings.n is None else self.first(found, self.settings.n)

    def identity(self, path: str) -> Hashable:
        """Return the file and the position in it, or else the source and its path."""
        identity: Callable[[str], Hashable] | None = getattr(self.source, "identity", None)
        if identity is not None:  # of a pool in a pool
            return identity(path)
        if whole := file_identity(path):
            return whole
        inside = place_identity(path)
        return (inside, self._array) if inside else (self._settings, path)

    def first(self, samples: list[Sample], n: int) -> list[Sample]:
        """Return the n samples with the smallest hashes, in their own order."""
        chosen = {s.id for s in sorted(samples, key=lambda s: self._hash(s, "order"))[:n]}
        return [sample for sample in samples if sample.id in chosen]

    def _is_kept(self, sample: Sample) -> bool:
        if isinstance(self._keep, float):
            probability = self._keep
        else:  # the OOD images of a pool inside a pool have no class to be thinned by
            probability = 1.0 if sample.label == UNLABELLED else self._keep[sample.label]
        return self._hash(sample, "keep") < probability * 2**64

    def _at_most_per_class(self, samples: list[Sample], n: int) -> list[Sample]:
        taken: Counter[int] = Counter()
        chosen = set()
        for sample in sorted(samples, key=lambda s: self._hash(s, "order")):
            taken[sample.label] += 1
            if taken[sample.label] <= n or sample.label == UNLABELLED:
                chosen.add(sample.id)
        return [sample for sample in samples if sample.id in chosen]

    def _hash(self, sample: Sample, purpose: str) -> int:
        return sample_key(self._seed, sample.id, f"pool/{purpose}")

    def _chosen_classes(self) -> list[str] | None:
        known, wanted = self._all_names, self.settings.classes
        if wanted is None:
            return known
        if known is None:
            raise LpclipError(f"{self.where} has no classes to choose from. Remove 'classes'.")
        names = [str(name) for name in wanted]
        for name in names:
            check_known(name, known, f"{self.where} has no class '{name}'.")
        if not names or len(set(names)) < len(names):
            raise LpclipError(f"{self.where}.classes must name classes, each once.")
        return names

    def _check_numbers(self) -> None:
        s = self.settings
        if s.per_class is not None and (self.class_names is None or s.per_class < 1):
            raise LpclipError(f"{self.where}.per_class needs classes and a number of at least 1.")
        if s.n is not None and s.n < 0:
            raise LpclipError(f"{self.where}.n is {s.n}; it must be at least 0.")
        if s.share is not None and (s.n is not None or not 0 <= s.share < 1):
            raise LpclipError(
                f"{self.where}.share must be in [0, 1), and stands instead of n; it is {s.share}."
            )

    def _probabilities(self) -> float | list[float]:
        keep, names = self.settings.keep, self.class_names
        if isinstance(keep, int | float):
            values = [float(keep)]
        elif names is None:
            raise LpclipError(f"{self.where} has no classes; keep must be one probability.")
        else:
            values = self._profile(keep, len(names)) if isinstance(keep, dict) else keep
            if len(values) != len(names):
                raise LpclipError(
                    f"{self.where}.keep has {len(values)} probabilities for {len(names)} classes "
                    f"({listed(names)}). Give one per class, in this order."
                )
        for value in values:
            if not 0 <= value <= 1:
                raise LpclipError(f"{self.where}.keep has the probability {value:g}, outside 0..1.")
        return values[0] if isinstance(keep, int | float) else values

    def _profile(self, keep: Mapping[str, float], n_classes: int) -> list[float]:
        for key in keep:
            check_known(key, PROFILES, f"{self.where}.keep has no profile '{key}'.")
        if len(keep) != 1:
            raise LpclipError(f"{self.where}.keep needs one profile: {' or '.join(PROFILES)}.")
        [(profile, value)] = keep.items()
        if profile == "linear":
            return [1 - value * c for c in range(n_classes)]
        if value < 1:
            raise LpclipError(
                f"{self.where}.keep: long_tail is {value:g}; the ratio of the first class to the "
                "last is at least 1."
            )
        return [value ** (-c / max(1, n_classes - 1)) for c in range(n_classes)]
