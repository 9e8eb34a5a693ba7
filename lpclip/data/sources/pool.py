"""A dataset assembled from others, with thinned classes and out-of-distribution (OOD) images."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from PIL.Image import Image

from lpclip.data.base import UNLABELLED, Sample, problems_of, read_encoded, size_of
from lpclip.data.base import Source as ImageSource
from lpclip.data.pool_part import OpenPart
from lpclip.data.repeated import refuse_in_two_parts
from lpclip.errors import LpclipError, listed


class Source:
    """Images of several sources, in the order of the parts.

    A hash of (seed, id in the part's source) decides which images are kept: the choice does not
    depend on the other parts, and a smaller keep, per_class, n or share gives a subset.

    An id is that of the part's source, prefixed with the part's number if there are several parts;
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
        self._parts = [OpenPart(number, part, seed) for number, part in enumerate(parts)]
        shares = [part.settings.share for part in self._parts]
        if None not in shares or sum(share or 0 for share in shares) >= 1:
            raise LpclipError(
                "The shares of a pool's parts must sum to less than 1, and one part must have no "
                "share."
            )
        own = [part for part in self._parts if not part.settings.ood]
        for part in own:
            if part.class_names is None:
                raise LpclipError(f"{part.where} has no classes. Set ood: true.")
            if part.class_names != own[0].class_names:
                raise LpclipError(
                    f"{own[0].where} has the classes {listed(own[0].class_names or ())}, but "
                    f"{part.where} {listed(part.class_names)}. Choose the same with 'classes', or "
                    "set ood: true."
                )
        self.class_names: Sequence[str] | None = own[0].class_names if own else None

    def samples(self) -> list[Sample]:
        """Return the images that are kept.

        Raises:
            LpclipError: there are none, an image occurs twice, or a part has too few images for
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
                        f"{part.where} has {available} images, but a share of {share} next to "
                        f"{rest} of the parts without a share takes {wanted}. Give it more images, "
                        "or a smaller share."
                    )
                chosen[part.number] = part.first(chosen[part.number], wanted)
        refuse_in_two_parts([(part.where, part.identity) for part in self._parts], chosen)
        samples = []
        for number, (part, taken) in enumerate(zip(self._parts, chosen, strict=True)):
            prefix = f"{number}-" if len(self._parts) > 1 else ""
            for name, path, label in taken:
                label = UNLABELLED if part.settings.ood else label
                samples.append(Sample(f"{prefix}{name}", f"{number}:{path}", label))
        if not samples:
            raise LpclipError("The pool has no images. Raise keep, per_class or n of its parts.")
        return samples

    def read(self, path: str) -> Image:
        """Read an image from the part's source; LpclipError if the path names no part or image."""
        source, inside = self._place(path)
        return source.read(inside)

    def problems(self) -> dict[str, str]:
        """See ``lpclip.data.base.problems_of``."""
        found = {part.number: problems_of(part.source) for part in self._parts}
        return {f"{n}:{path}": text for n, each in found.items() for path, text in each.items()}

    def identity(self, path: str) -> Hashable:
        """Return a key that two paths share if and only if they lead to the same image."""
        number, _, inside = path.partition(":")
        return self._parts[int(number)].identity(inside)

    def encoded(self, path: str) -> bytes | None:
        """See ``lpclip.data.base.read_encoded``; errors as of ``read``."""
        return read_encoded(*self._place(path))

    @property
    def lists_quickly(self) -> bool:
        """Whether all parts list their images quickly."""
        return all(getattr(part.source, "lists_quickly", False) for part in self._parts)

    @property
    def size_takes_long(self) -> bool:
        """Whether finding sizes takes long for any part."""
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
