"""Captions of rendered images, for training the embedded CLIP."""

from collections.abc import Iterator
from random import Random

from lpclip.data.fonts import CHARACTERS, DIGITS, phrases
from lpclip.data.glyph_rendering import COLOURS, SIZE

ANY = (
    "a photo of {}.",
    "an image of {}.",
    "a picture of {}.",
    "a rendering of {}.",
    "a drawing of {}.",
    "{} written by hand.",
    "{}.",
)
DIGIT_ONLY = ('a photo of the number: "{}".',)
LOW_RESOLUTION = ("a blurry image of {}.", "a low resolution photo of {}.")
NOISY = ("a noisy image of {}.",)
COLOURED = ("{} in {foreground} on a {background} background.", "a photo of {} in {foreground}.")

_BLURRY_BELOW = SIZE // 2
_NOISY_ABOVE = 0.06


def caption(
    character: str,
    *,
    foreground: str,
    background: str,
    resolution: int,
    noise: float,
    random: Random,
) -> str:
    """Return a random caption that describes the image.

    >>> caption("7", foreground="white", background="blue", resolution=32, noise=0.0,
    ...         random=Random(9))
    'a seven in white on a blue background.'
    """
    templates = ANY + COLOURED + (DIGIT_ONLY if character in DIGITS else ())
    if resolution < _BLURRY_BELOW:
        templates += LOW_RESOLUTION
    if noise > _NOISY_ABOVE:
        templates += NOISY
    template = random.choice(templates)
    name = character if template in DIGIT_ONLY else random.choice(phrases(character))
    return template.format(name, foreground=foreground, background=background)


def every_word() -> Iterator[str]:
    """Yield captions that together contain every token of all possible captions."""
    for character in CHARACTERS:
        for phrase in phrases(character):
            for template in (*ANY, *LOW_RESOLUTION, *NOISY):
                yield template.format(phrase)
            for colour in COLOURS:
                for template in COLOURED:
                    yield template.format(phrase, foreground=colour, background=colour)
    for digit in DIGITS:
        for template in DIGIT_ONLY:
            yield template.format(digit)
