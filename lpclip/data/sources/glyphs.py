"""Characters rendered from fonts: a near out-of-distribution set, and a stand-in for digits."""

import string
from collections.abc import Sequence

from PIL import Image, ImageOps

from lpclip.data import fonts
from lpclip.data.base import Sample
from lpclip.data.paint import check_paint, paint
from lpclip.data.sources.digits import enlarge
from lpclip.errors import LpclipError, check_known
from lpclip.utils.rng import sample_key

# Characters that look like digits in handwriting or at low resolution.
DIGIT_LIKE = {
    "0": "OoDQ",
    "1": "lIiJj!/()[]",
    "2": "Zz",
    "5": "Ss",
    "6": "bG",
    "8": "B",
    "9": "gq",
}
_EXCLUDED = frozenset("".join(DIGIT_LIKE.values()))
_LETTERS = "".join(c for c in fonts.LETTERS if c not in _EXCLUDED)
_SYMBOLS = "".join(c for c in fonts.SYMBOLS if c not in _EXCLUDED)
CHARACTERS = {
    "digits": fonts.DIGITS,
    "letters": _LETTERS,
    "symbols": _SYMBOLS,
    "letters_and_symbols": _LETTERS + _SYMBOLS,
    "capitals": string.ascii_uppercase,
}
STYLES = ("low_resolution", "varied")


class Source:
    """``n`` rendered characters, as many of each as possible.

    An image depends only on the seed, its id and its path.

    Args:
        characters: "digits", "letters", "symbols" or "letters_and_symbols", without letters and
            symbols that look like digits, see ``DIGIT_LIKE``; or "capitals", A to Z.
        n: number of images.
        seed: of everything random; another seed gives another data set.
        style: "low_resolution" looks like the data set of handwritten digits, white on black from
            8x8 counts; "varied" is what the embedded CLIP was trained on.
        distortion: factor on random rotation, shear, stretch and bending. This and the next two
            settings are for "low_resolution" only.
        rotation: degrees by which all images are rotated counter-clockwise.
        inverted: black on white.
        paint: "none", or "colours" or "photographs" behind the characters, as for digits.

    Raises:
        LpclipError: unknown characters, style or paint, n below 1, a negative distortion, an
            inverted image with paint, or a setting that the varied style does not have.
    """

    def __init__(
        self,
        characters: str,
        n: int,
        seed: int = 0,
        style: str = "low_resolution",
        distortion: float = 1.0,
        rotation: float = 0.0,
        inverted: bool = False,
        paint: str = "none",
    ) -> None:
        check_known(characters, CHARACTERS, f"Unknown characters '{characters}'.")
        check_known(style, STYLES, f"Unknown style '{style}'.")
        if n < 1:
            raise LpclipError(f"A set of glyphs needs n of at least 1, not {n}.")
        if distortion < 0 or (style == "varied" and distortion != 1):
            raise LpclipError(
                f"distortion is a factor of at least 0 for the style 'low_resolution' and stays 1 "
                f"for 'varied'; it is {distortion} for '{style}'."
            )
        check_paint(paint)
        if style == "varied" and (rotation or inverted or paint != "none"):
            raise LpclipError(
                "The style 'varied' has colours of its own and no rotation, inverted or paint. "
                "Leave them out, or use the style 'low_resolution'."
            )
        if inverted and paint != "none":
            raise LpclipError(
                f"An inverted image takes no paint, but paint is '{paint}'. Leave one of them out."
            )
        self.at_most = n
        self.n, self.seed, self.style, self.distortion = n, seed, style, distortion
        self.rotation, self.inverted, self.paint = rotation, inverted, paint
        self.class_names: Sequence[str] = tuple(CHARACTERS[characters])

    def samples(self) -> list[Sample]:
        """Return every character in turn; the seed shuffles each turn."""
        names = self.class_names
        samples: list[Sample] = []
        for turn in range(-(-self.n // len(names))):
            keys = [sample_key(self.seed, f"{turn}-{name}", "order") for name in names]
            for label in sorted(range(len(names)), key=keys.__getitem__):
                identifier = f"glyph-{len(samples):05d}"
                # The code point, since '/' or '*' would not do in a path.
                samples.append(Sample(identifier, f"{identifier}@U+{ord(names[label]):04X}", label))
        return samples[: self.n]

    def read(self, path: str) -> Image.Image:
        """Render one character, RGB 32x32; LpclipError if the path names no known one."""
        identifier, _, code = path.partition("@U+")
        try:
            character = chr(int(code, 16))
            place = fonts.CHARACTERS.index(character)
        except ValueError as error:
            raise LpclipError(
                f"There is no glyph '{path}'; a path is glyph-00000@U+0041, say."
            ) from error
        # Imported here, since every start of Snakemake opens the sources without rendering.
        import torch

        from lpclip.data.glyph_rendering import render, render_low_resolution

        generator = torch.Generator().manual_seed(sample_key(self.seed, identifier, "glyph"))
        shapes = fonts.glyphs()
        font = torch.randint(int(shapes.fonts[place]), (), generator=generator)
        mask = shapes.masks[shapes.first[place] + font][None]
        if self.style == "low_resolution":
            levels = render_low_resolution(mask, generator, distortion=self.distortion)[0]
            image = enlarge(levels.numpy())
            if self.rotation:
                image = image.rotate(self.rotation, resample=Image.Resampling.BICUBIC)
            if self.inverted:
                image = ImageOps.invert(image)
            return paint(image, self.paint, seed=self.seed, identifier=identifier)
        pixels = render(mask, generator)[0][0]
        return Image.fromarray((pixels * 255).round().byte().permute(1, 2, 0).numpy())
