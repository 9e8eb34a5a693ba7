"""The development sets, on which settings are chosen; no report of this project shows them.

Characters rendered from fonts, which the embedded CLIP was trained on, and from pen strokes, which
it was not. There are no handwritten digits among them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cases
import numpy as np
import pen
from cases import Case
from PIL import Image, ImageFilter

from lpclip.utils.atomic import atomic_path


def small(image: Image.Image) -> Image.Image:
    """Shrink the character to half its size."""
    side = image.width
    frame = Image.new("RGB", image.size)
    frame.paste(image.resize((side // 2, side // 2)), (side // 4, side // 4))
    return frame


def thick(image: Image.Image) -> Image.Image:
    """Widen strokes by two pixels on each side."""
    return image.filter(ImageFilter.MaxFilter(5))


def thin(image: Image.Image) -> Image.Image:
    """Narrow strokes by a pixel on each side."""
    return image.filter(ImageFilter.MinFilter(3))


@dataclass(frozen=True)
class Rendered:
    """How the images of a set are rendered.

    Attributes:
        characters: setting of the source `glyphs`; with a pen, "digits" or "capitals" of ``pen``.
        settings: further settings of the source `glyphs` or of ``pen.write``.
        change: applied to every image afterwards.
        by: "font" or "pen".
    """

    characters: str
    settings: dict[str, Any] = field(default_factory=dict)
    change: Callable[[Image.Image], Image.Image] | None = None
    by: str = "font"

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the characters in captions."""
        if self.by == "pen" and self.characters == "capitals":
            return tuple(f"capital letter {name}" for name in pen.CAPITALS)
        return cases.names_of(self.characters)

    def images(self, n: int, seed: int, *, views: bool) -> cases.Images:
        """Render and embed ``n`` images."""
        with TemporaryDirectory() as name:
            folder = Path(name)
            if self.by == "pen":
                characters = pen.DIGITS if self.characters == "digits" else pen.CAPITALS
                source = pen.write(folder, characters, n, seed, change=self.change, **self.settings)
            else:
                source = {"kind": "glyphs", "characters": self.characters, **self.settings}
                source |= {"n": n, "seed": seed}
                if self.change is not None:
                    source = cases.redraw(source, self.change, folder)
            return cases.embed(source, views=views)


SETS: dict[str, Rendered] = {
    "digits turned by 35": Rendered("digits", {"rotation": 35}),
    "digits turned by -20": Rendered("digits", {"rotation": -20, "distortion": 1.2}),
    "digits turned by -40": Rendered("digits", {"rotation": -40}),
    "digits distorted": Rendered("digits", {"distortion": 1.6}),
    "digits varied": Rendered("digits", {"style": "varied"}),
    "digits inverted": Rendered("digits", {"inverted": True, "distortion": 1.3}),
    "digits turned and coloured": Rendered("digits", {"paint": "colours", "rotation": 25}),
    "digits on photographs": Rendered("digits", {"paint": "photographs"}),
    "digits small": Rendered("digits", change=small),
    "digits thick": Rendered("digits", change=thick),
    "digits thin": Rendered("digits", change=thin),
    "symbols": Rendered("symbols"),
    "symbols turned by 25": Rendered("symbols", {"rotation": 25}),
    "symbols turned by -20": Rendered("symbols", {"rotation": -20}),
    "symbols on photographs": Rendered("symbols", {"paint": "photographs"}),
    "symbols small": Rendered("symbols", change=small),
    "symbols thick": Rendered("symbols", change=thick),
    "capitals": Rendered("capitals"),
    "capitals turned by 25": Rendered("capitals", {"rotation": 25}),
    "capitals small": Rendered("capitals", change=small),
    "capitals thick": Rendered("capitals", change=thick),
    "letters": Rendered("letters"),
    "letters turned by 25": Rendered("letters", {"rotation": 25}),
    "letters on photographs": Rendered("letters", {"paint": "photographs"}),
    "pen digits": Rendered("digits", by="pen"),
    "pen digits, wobbly": Rendered("digits", {"wobble": 1.6}, by="pen"),
    "pen digits, thick": Rendered("digits", {"width": (0.12, 0.2)}, by="pen"),
    "pen digits, turned by 20": Rendered("digits", {"turn": 20}, by="pen"),
    "pen digits, fine": Rendered("digits", {"coarse": False}, by="pen"),
    "pen digits, small": Rendered("digits", change=small, by="pen"),
    "pen digits, coloured": Rendered("digits", {"paint_name": "colours"}, by="pen"),
    "pen digits on photographs": Rendered("digits", {"paint_name": "photographs"}, by="pen"),
    "pen capitals": Rendered("capitals", by="pen"),
    "pen capitals, wobbly": Rendered("capitals", {"wobble": 1.6}, by="pen"),
    "pen capitals, thick": Rendered("capitals", {"width": (0.12, 0.2)}, by="pen"),
    "pen capitals, turned by -20": Rendered("capitals", {"turn": -20}, by="pen"),
    "pen capitals, fine": Rendered("capitals", {"coarse": False}, by="pen"),
    "pen capitals, inverted": Rendered("capitals", {"inverted": True}, by="pen"),
    "pen capitals, coloured": Rendered("capitals", {"paint_name": "colours"}, by="pen"),
    "pen capitals on photographs": Rendered("capitals", {"paint_name": "photographs"}, by="pen"),
}


def development_cases(keep: Path) -> Iterator[Case]:
    """Yield every set, with its unlabelled set unchanged, thinned out and mixed with OOD images.

    Args:
        keep: folder in which features are kept from run to run, named after the set; delete it
            after a change to the rendering or embedding.
    """
    letters = Rendered("letters")
    digits = Rendered("digits")
    ood = {
        "digits": kept(keep / "OOD letters.npz", lambda: letters.images(900, 5, views=True)),
        "": kept(keep / "OOD digits.npz", lambda: digits.images(900, 5, views=True)),
    }
    for name, how in SETS.items():
        templates = cases.DIGIT_TEMPLATES if how.characters == "digits" else cases.TEMPLATES
        base = Case(
            name,
            cases.zero_shot(how.class_names, templates),
            kept(keep / f"{name}, adapt.npz", partial(how.images, 1800, 1, views=True)),
            kept(keep / f"{name}, test.npz", partial(how.images, 900, 2, views=False)),
        )
        c = np.arange(len(how.class_names)) / (len(how.class_names) - 1)
        medium = replace(cases.some(base, "900", 900, 0), name=name)
        yield replace(base, name=f"{name}, 1800")
        yield replace(medium, name=f"{name}, 900")
        yield cases.some(base, "300", 300, 0)
        yield cases.rarer(base, "long tail", 10.0**-c, 0)
        uneven = np.random.default_rng([0, len(c)]).uniform(0.2, 1, len(c))
        yield cases.rarer(base, "uneven", uneven, 0)
        more = ood.get(how.characters, ood[""])
        yield cases.mixed(medium, "30 % foreign", more, 0.3, 0)


# Pools of the guard's development cases; every set has every second one.
POOLS = (
    "all", "test", "5 of K", "half of K", "linear", "10:1", "30 % OOD", "50 % OOD", "2 a class",
    "4 a class", "10 a class", "30 a class", "64 of 2", "64 of 4",
)  # fmt: skip


def guard_cases(keep: Path) -> Iterator[Case]:
    """Yield every set with pools that are not like its test set, on clean features.

    Args:
        keep: as for ``development_cases``.
    """
    for place, (name, how) in enumerate(SETS.items()):
        templates = cases.DIGIT_TEMPLATES if how.characters == "digits" else cases.TEMPLATES
        adapt = kept(keep / f"{name}, adapt.npz", partial(how.images, 1800, 1, views=True))
        test = kept(keep / f"{name}, test.npz", partial(how.images, 900, 2, views=False))
        head = cases.zero_shot(how.class_names, templates)
        base = Case(name, head, cases.without_views(adapt.clean, adapt.labels), test)
        others = "letters" if how.characters == "digits" else "digits"
        made = partial(Rendered(others).images, 900, 5, views=True)
        ood = kept(keep / f"OOD {others}.npz", made)
        for pool in POOLS[place % 2 :: 2]:
            yield _with_pool(base, pool, cases.without_views(ood.clean, ood.labels))


def _with_pool(base: Case, pool: str, ood: cases.Images) -> Case:
    n_classes = len(base.head.weight)
    generator = np.random.default_rng([0, *f"{base.name}{pool}".encode()])
    order = generator.permutation(n_classes)
    named = replace(base, name=f"{base.name}, {pool}")
    if pool == "test":
        test = base.test
        return replace(named, adapt=cases.without_views(test.clean, test.labels))
    if pool in ("linear", "10:1"):
        place = order / (n_classes - 1)
        keep = 1 - 0.72 * place if pool == "linear" else 10.0**-place
        return cases.rarer(base, pool, keep, 0)
    if pool.endswith("OOD"):
        return cases.mixed(cases.some(base, "", 900, 0), pool, ood, int(pool[:2]) / 100, 0)
    if pool.endswith("a class"):
        return cases.few(base, pool, int(pool.split()[0]), 0)
    if pool != "all":
        n = {"5": 5, "h": n_classes // 2, "6": int(pool[-1]) if pool[-1].isdigit() else 0}[pool[0]]
        rows = np.flatnonzero(np.isin(base.adapt.labels, order[:n]))
        if pool.startswith("64"):
            rows = generator.permutation(rows)[:64]
        return replace(named, adapt=base.adapt.take(np.sort(rows)))
    return named


def kept(path: Path, make: Callable[[], cases.Images]) -> cases.Images:
    """Read the file; if there is none, make the images and write it."""
    if not path.exists():
        images = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as unfinished, unfinished.open("wb") as file:
            np.savez(file, allow_pickle=False, **vars(images))
        return images
    with np.load(path, allow_pickle=False) as arrays:
        return cases.Images(**arrays)
