"""The development sets: situations that no report of this project shows, to choose settings on.

Characters rendered from fonts, which the embedded CLIP knows, and characters drawn with a pen,
which it does not. No handwritten digit is among them.
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
    """The character at half its size."""
    side = image.width
    frame = Image.new("RGB", image.size)
    frame.paste(image.resize((side // 2, side // 2)), (side // 4, side // 4))
    return frame


def thick(image: Image.Image) -> Image.Image:
    """Strokes two pixels wider on each side."""
    return image.filter(ImageFilter.MaxFilter(5))


def thin(image: Image.Image) -> Image.Image:
    """Strokes a pixel narrower on each side."""
    return image.filter(ImageFilter.MinFilter(3))


@dataclass(frozen=True)
class Drawn:
    """How the images of a set come about.

    Attributes:
        characters: of the source `glyphs`; with a pen, "digits" or "capitals" of ``pen``.
        settings: of the source `glyphs`, or of ``pen.write``.
        change: what is then done to every image.
        by: "font" or "pen".
    """

    characters: str
    settings: dict[str, Any] = field(default_factory=dict)
    change: Callable[[Image.Image], Image.Image] | None = None
    by: str = "font"

    @property
    def class_names(self) -> tuple[str, ...]:
        """As captions name the characters."""
        if self.by == "pen" and self.characters == "capitals":
            return tuple(f"capital letter {name}" for name in pen.CAPITALS)
        return cases.names_of(self.characters)

    def images(self, n: int, seed: int, *, views: bool) -> cases.Images:
        """Draw and embed ``n`` images."""
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


SETS: dict[str, Drawn] = {
    "digits turned by 35": Drawn("digits", {"rotation": 35}),
    "digits turned by -20": Drawn("digits", {"rotation": -20, "distortion": 1.2}),
    "digits turned by -40": Drawn("digits", {"rotation": -40}),
    "digits distorted": Drawn("digits", {"distortion": 1.6}),
    "digits varied": Drawn("digits", {"style": "varied"}),
    "digits inverted": Drawn("digits", {"inverted": True, "distortion": 1.3}),
    "digits turned and coloured": Drawn("digits", {"paint": "colours", "rotation": 25}),
    "digits on photographs": Drawn("digits", {"paint": "photographs"}),
    "digits small": Drawn("digits", change=small),
    "digits thick": Drawn("digits", change=thick),
    "digits thin": Drawn("digits", change=thin),
    "symbols": Drawn("symbols"),
    "symbols turned by 25": Drawn("symbols", {"rotation": 25}),
    "symbols turned by -20": Drawn("symbols", {"rotation": -20}),
    "symbols on photographs": Drawn("symbols", {"paint": "photographs"}),
    "symbols small": Drawn("symbols", change=small),
    "symbols thick": Drawn("symbols", change=thick),
    "capitals": Drawn("capitals"),
    "capitals turned by 25": Drawn("capitals", {"rotation": 25}),
    "capitals small": Drawn("capitals", change=small),
    "capitals thick": Drawn("capitals", change=thick),
    "letters": Drawn("letters"),
    "letters turned by 25": Drawn("letters", {"rotation": 25}),
    "letters on photographs": Drawn("letters", {"paint": "photographs"}),
    "pen digits": Drawn("digits", by="pen"),
    "pen digits, wobbly": Drawn("digits", {"wobble": 1.6}, by="pen"),
    "pen digits, thick": Drawn("digits", {"width": (0.12, 0.2)}, by="pen"),
    "pen digits, turned by 20": Drawn("digits", {"turn": 20}, by="pen"),
    "pen digits, fine": Drawn("digits", {"coarse": False}, by="pen"),
    "pen digits, small": Drawn("digits", change=small, by="pen"),
    "pen digits, coloured": Drawn("digits", {"paint_name": "colours"}, by="pen"),
    "pen digits on photographs": Drawn("digits", {"paint_name": "photographs"}, by="pen"),
    "pen capitals": Drawn("capitals", by="pen"),
    "pen capitals, wobbly": Drawn("capitals", {"wobble": 1.6}, by="pen"),
    "pen capitals, thick": Drawn("capitals", {"width": (0.12, 0.2)}, by="pen"),
    "pen capitals, turned by -20": Drawn("capitals", {"turn": -20}, by="pen"),
    "pen capitals, fine": Drawn("capitals", {"coarse": False}, by="pen"),
    "pen capitals, inverted": Drawn("capitals", {"inverted": True}, by="pen"),
    "pen capitals, coloured": Drawn("capitals", {"paint_name": "colours"}, by="pen"),
    "pen capitals on photographs": Drawn("capitals", {"paint_name": "photographs"}, by="pen"),
}


def drawn(keep: Path) -> Iterator[Case]:
    """Every drawn set, with its unlabelled set as it is, thinned out and mixed.

    Args:
        keep: folder in which features are kept from run to run, named after the set; delete it
            when what draws or embeds has changed.
    """
    letters = Drawn("letters")
    digits = Drawn("digits")
    foreign = {
        "digits": kept(keep / "foreign letters.npz", lambda: letters.images(900, 5, views=True)),
        "": kept(keep / "foreign digits.npz", lambda: digits.images(900, 5, views=True)),
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
        more = foreign.get(how.characters, foreign[""])
        yield cases.mixed(medium, "30 % foreign", more, 0.3, 0)


def kept(path: Path, make: Callable[[], cases.Images]) -> cases.Images:
    """What the file holds; made and written where there is none."""
    if not path.exists():
        images = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as unfinished, unfinished.open("wb") as file:
            np.savez(file, allow_pickle=False, **vars(images))
        return images
    with np.load(path, allow_pickle=False) as arrays:
        return cases.Images(**arrays)
