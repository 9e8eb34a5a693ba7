"""A dataset put together from others: classes thinned out, foreign images mixed in."""

import json
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL.Image import Image

from lpclip.data.base import UNLABELLED, Sample, read_encoded, size_of
from lpclip.data.base import Source as ImageSource
from lpclip.data.incomplete import problems_of
from lpclip.data.registry import open_source
from lpclip.data.repeated import file_identity, place_identity, refuse_in_two_parts, refuse_repeated
from lpclip.errors import LpclipError, did_you_mean
from lpclip.utils.rng import sample_key
from lpclip.utils.settings import build

PROFILES = ("long_tail", "linear")
# Settings of sources that choose among the arrays or columns of one file.
_WITHIN_FILES = ("key", "image_column", "name", "split", "revision")


@dataclass(frozen=True)
class Part:
    """What a pool takes from one source. What is given applies in the order of this list.

    Attributes:
        source: ``kind`` and settings of the image source.
        classes: names of the only classes to take; labels index this list. All by default.
        keep: probability of keeping an image: one for all, a list with one per class, or a
            profile over the C classes in their order, c = 0 … C-1: ``{long_tail: r}`` is
            r ** (-c / (C-1)), ``{linear: a}`` is 1 - a c.
        per_class: at most so many images of every class.
        n: at most so many images.
        share: of the whole pool, in [0, 1): so many images that they are this share of it.
        foreign: whether the images are of none of the pool's classes; they get no label.
    """

    source: Mapping[str, Any]
    classes: list[str | int] | None = None
    keep: float | list[float] | dict[str, float] = 1.0
    per_class: int | None = None
    n: int | None = None
    share: float | None = None
    foreign: bool = False


class Source:
    """Images of several sources, in the order of the parts.

    Which images are kept is decided by a hash of (seed, id in the part's source): it depends on no
    other part, and a smaller keep, per_class, n or share gives a subset.

    An id is that of the part's source, and begins with the part's number where there are several;
    a path is ``number:path``.

    Args:
        parts: settings of each part, see ``Part``.
        seed: of the choice of images.

    Raises:
        LpclipError: an unknown, missing or impossible setting of a part, a source that refuses
            its own, or parts whose classes differ.
    """

    def __init__(self, parts: Sequence[Mapping[str, Any]], seed: int = 0) -> None:
        if not isinstance(parts, list | tuple) or not parts:
            raise LpclipError("A pool needs a list of at least one part, each with a source.")
        self._parts = [_OpenPart(number, part, seed) for number, part in enumerate(parts)]
        shares = [part.settings.share for part in self._parts]
        if None not in shares or sum(share or 0 for share in shares) >= 1:
            raise LpclipError(
                "The shares of a pool's parts must sum to less than 1, and stand beside a part "
                "without share."
            )
        own = [part for part in self._parts if not part.settings.foreign]
        for part in own:
            if part.class_names is None:
                raise LpclipError(f"{part.where} has no classes. Set foreign: true.")
            if part.class_names != own[0].class_names:
                raise LpclipError(
                    f"{own[0].where} has the classes {_listed(own[0].class_names or ())}, but "
                    f"{part.where} {_listed(part.class_names)}. Choose the same with 'classes', or "
                    "set foreign: true."
                )
        self.class_names: Sequence[str] | None = own[0].class_names if own else None

    def samples(self) -> list[Sample]:
        """The images that are kept.

        Raises:
            LpclipError: there are none, an image is there twice, or a part has too few images for
                its share.
        """
        chosen = [part.samples() for part in self._parts]
        shares = [part.settings.share for part in self._parts]
        rest = sum(len(c) for c, share in zip(chosen, shares, strict=True) if share is None)
        factor = rest / (1 - sum(share or 0 for share in shares))
        for part, share in zip(self._parts, shares, strict=True):
            if share is not None:
                available, wanted = len(chosen[part.number]), round(share * factor)
                if wanted > available:
                    raise LpclipError(
                        f"{part.where} has {available} images, but a share of {share} beside "
                        f"{rest} of the parts without share takes {wanted}. Give it more images, "
                        "or a smaller share."
                    )
                chosen[part.number] = part.first(chosen[part.number], wanted)
        several = len(self._parts) > 1
        refuse_in_two_parts([(part.where, part.identity) for part in self._parts], chosen)
        samples = [
            Sample(
                f"{number}-{sample.id}" if several else sample.id,
                f"{number}:{sample.path}",
                UNLABELLED if self._parts[number].settings.foreign else sample.label,
            )
            for number, part in enumerate(chosen)
            for sample in part
        ]
        if not samples:
            raise LpclipError("The pool has no images. Raise keep, per_class or n of its parts.")
        return samples

    def read(self, path: str) -> Image:
        """The image, as the part's source reads it.

        Raises:
            LpclipError: the path names no part, or no image of it.
        """
        source, inside = self._place(path)
        return source.read(inside)

    def problems(self) -> dict[str, str]:
        """See ``lpclip.data.incomplete``."""
        found = {part.number: problems_of(part.source) for part in self._parts}
        return {f"{n}:{path}": text for n, each in found.items() for path, text in each.items()}

    def identity(self, path: str) -> Hashable:
        """What two paths have in common if and only if they lead to the same image."""
        number, _, inside = path.partition(":")
        return self._parts[int(number)].identity(inside)

    def encoded(self, path: str) -> bytes | None:
        """See ``lpclip.data.base.read_encoded``; errors as of ``read``."""
        return read_encoded(*self._place(path))

    @property
    def lists_quickly(self) -> bool:
        """Whether all parts do."""
        return all(getattr(part.source, "lists_quickly", False) for part in self._parts)

    @property
    def size_takes_long(self) -> bool:
        """Whether that of some part does."""
        return any(getattr(part.source, "size_takes_long", False) for part in self._parts)

    def size(self, path: str) -> int:
        """See ``lpclip.data.base.size_of``; errors as of ``read``."""
        return size_of(*self._place(path))

    def _place(self, path: str) -> tuple[ImageSource, str]:
        number, colon, inside = path.partition(":")
        if not colon or not number.isdecimal() or int(number) >= len(self._parts):
            raise LpclipError(
                f"The pool has no image '{path}'; a path begins with the number of a part, "
                f"0: to {len(self._parts) - 1}:."
            )
        return self._parts[int(number)].source, inside


class _OpenPart:
    """One part: its settings, checked, its source, and what it takes of it."""

    def __init__(self, number: int, settings: Mapping[str, Any], seed: int) -> None:
        self.number, self.where, self._seed = number, f"parts.{number}", seed
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
        """Samples that stay, in the order of the source; all of a part with a share."""
        found = self.source.samples()
        refuse_repeated(found, where=f"{self.where}: its source")
        if self.settings.classes is not None:
            known = self._all_names or []
            labels = {known.index(name): i for i, name in enumerate(self.class_names or ())}
            kept = problems_of(self.source)  # whatever its class, to be refused or recorded
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
        """The file and the place in it, or the source and its path."""
        if isinstance(self.source, Source):
            return self.source.identity(path)
        if whole := file_identity(path):
            return whole
        inside = place_identity(path)
        return (inside, self._array) if inside else (self._settings, path)

    def first(self, samples: list[Sample], n: int) -> list[Sample]:
        """The first n by hash, in the order in which they came."""
        chosen = {s.id for s in sorted(samples, key=lambda s: self._hash(s, "order"))[:n]}
        return [sample for sample in samples if sample.id in chosen]

    def _is_kept(self, sample: Sample) -> bool:
        if isinstance(self._keep, float):
            probability = self._keep
        else:  # what a pool inside a pool has of foreign images has no class to be thinned by
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
            if name not in known:
                raise LpclipError(
                    f"{self.where} has no class '{name}'. {did_you_mean(name, known)}"
                )
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
        elif isinstance(keep, dict):
            values = self._profile(keep, len(names))
        else:
            values = keep
            if len(values) != len(names):
                raise LpclipError(
                    f"{self.where}.keep has {len(values)} probabilities for {len(names)} classes "
                    f"({_listed(names)}). Give one per class, in this order."
                )
        for value in values:
            if not 0 <= value <= 1:
                raise LpclipError(f"{self.where}.keep has the probability {value:g}, outside 0..1.")
        return values[0] if isinstance(keep, int | float) else values

    def _profile(self, keep: Mapping[str, float], n_classes: int) -> list[float]:
        for key in keep:
            if key not in PROFILES:
                raise LpclipError(
                    f"{self.where}.keep has no profile '{key}'. {did_you_mean(key, PROFILES)}"
                )
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


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
