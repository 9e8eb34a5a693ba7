"""A look at images before a project is made of them: how many, how large, which cannot be read."""

import math
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from lpclip.data.base import Source, read_image
from lpclip.data.class_matching import match_classes
from lpclip.data.image_sizes import sizes_of
from lpclip.data.index import open_dataset
from lpclip.data.repeated import refuse_repeated
from lpclip.errors import BadImageError, LpclipError, listed
from lpclip.utils.host import cores
from lpclip.utils.settings import located

# Images that are read, and the seconds after which no more are, so that init takes no minutes.
MOST_READ, SECONDS = 1_000, 20.0
_SHOWN = 10
_EMPTY = "the file is empty"


@dataclass(frozen=True)
class Survey:
    """What was found in a folder of images.

    Attributes:
        place: the folder.
        n: number of images.
        gigabytes: of all files.
        n_read: images that were read: all but empty files, or a random sample.
        sizes: width and height of those that can be read, the smallest first.
        unreadable: those that cannot, and all empty files.
        of_class: number of images by class; empty for unlabelled ones.
    """

    place: str
    n: int
    gigabytes: float
    n_read: int
    sizes: Sequence[tuple[int, int]]
    unreadable: Sequence[BadImageError]
    of_class: Mapping[str, int] = field(default_factory=dict)

    @property
    def usable(self) -> int:
        """Number of images that a run uses, as far as they were read."""
        return self.n - len(self.unreadable)


def survey(source: Mapping[str, Any]) -> Survey:
    """Look at all images of a source, and read a sample of them, for some seconds at most.

    Args:
        source: of kind ``folder``.

    Raises:
        LpclipError: a folder without images, or with none that can be read; images outside the
            class folders of labelled ones.
    """
    place = source["root"]
    opened = open_dataset(source)
    samples = opened.samples()
    if not samples:
        raise LpclipError(f"{place} has no images. Give a folder with images, at any depth.")
    refuse_repeated(samples, where=place)
    sizes = sizes_of(opened, (sample.path for sample in samples))
    empty = [samples[int(row)].path for row in (sizes == 0).nonzero()[0]]
    rows = random.Random(0).sample(range(len(samples)), min(len(samples), MOST_READ))
    chosen = [path for path in (samples[row].path for row in rows) if path not in set(empty)]
    found = list(_read(opened, chosen))
    good = [one for one in found if not isinstance(one, BadImageError)]
    bad = [one for one in found if isinstance(one, BadImageError)]
    bad += [BadImageError(path, _EMPTY) for path in empty]
    if not good:
        raise LpclipError(f"{place}: none of {len(bad):,} images can be read. {bad[0]}")
    names = opened.class_names
    counts = Counter(sample.label for sample in samples)
    return Survey(
        place=place,
        n=len(samples),
        gigabytes=float(sizes.sum()) / 1e9,
        n_read=len(found),
        sizes=sorted(good, key=math.prod),
        unreadable=sorted(bad, key=lambda error: error.path),
        of_class={} if names is None else {name: counts[i] for i, name in enumerate(names)},
    )


def _read(source: Source, paths: Sequence[str]) -> Iterator[tuple[int, int] | BadImageError]:
    """Read images in threads until time is up; yield their sizes, or why they cannot be read."""

    def look(path: str) -> tuple[int, int] | BadImageError:
        try:
            return read_image(source, path).size
        except BadImageError as error:
            return error

    n_threads = cores()
    end = time.monotonic() + SECONDS
    with ThreadPoolExecutor(n_threads) as threads:
        for start in range(0, len(paths), 4 * n_threads):
            yield from threads.map(look, paths[start : start + 4 * n_threads])
            if time.monotonic() > end:
                return


def described(found: Survey, what: str) -> str:
    """Return a survey as a few lines."""
    small, middle, large = (found.sizes[round(q * (len(found.sizes) - 1))] for q in (0, 0.5, 1))
    lines = [f"{what}: {found.n:,} images in {found.place} ({amount(found.gigabytes)})."]
    if small == large:
        lines.append(f"  {_pixels(small)} pixels.")
    else:
        lines.append(
            f"  Mostly about {_pixels(middle)} pixels; from {_pixels(small)} to {_pixels(large)}."
        )
    whole = found.n_read + sum(one.reason == _EMPTY for one in found.unreadable) >= found.n
    read = "All were read" if whole else f"{found.n_read:,} were read, chosen at random"
    if not found.unreadable:
        lines.append(f"  {read}, without an error.")
    else:
        lines.append(
            f"  {read}; {len(found.unreadable):,} cannot be read, and a run would skip them:"
        )
        lines += [f"    {one.path} ({one.reason})" for one in found.unreadable[:_SHOWN]]
        if len(found.unreadable) > _SHOWN:
            lines.append(f"    … ({len(found.unreadable):,} in all)")
    return "\n".join(lines)


def described_classes(found: Survey, class_names: Sequence[str]) -> str:
    """Return which classes have labelled images, and how many.

    Raises:
        LpclipError: a folder that is none of the classes, with the nearest name.
    """
    with located(f"Labelled images in {found.place}"):
        groups = match_classes(list(found.of_class), class_names)
    counts = dict.fromkeys(range(len(class_names)), 0)
    for group, count in zip(groups, found.of_class.values(), strict=True):
        counts[group[0]] += count
    without = [class_names[index] for index, count in counts.items() if count == 0]
    some = [count for count in counts.values() if count]
    each = f"{min(some):,}" if min(some) == max(some) else f"{min(some):,} to {max(some):,}"
    text = f"  {len(some)} of {len(class_names)} classes have labelled images, {each} each."
    return text + (f" Without any: {listed(without)}." if without else "")


def _pixels(size: tuple[int, int]) -> str:
    return f"{size[0]:,} x {size[1]:,}"


def amount(gigabytes: float) -> str:
    """Return an amount of data.

    >>> amount(0.00123), amount(3.21), amount(4.2e-6)
    ('1.2 MB', '3.2 GB', '4.2 kB')
    """
    for unit, factor in (("GB", 1.0), ("MB", 1e3)):
        if gigabytes * factor >= 1:
            return f"{gigabytes * factor:.1f} {unit}"
    return f"{gigabytes * 1e6:.1f} kB"
