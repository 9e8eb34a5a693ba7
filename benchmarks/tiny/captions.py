"""Captions of rendered images, for training the embedded CLIP."""

from collections.abc import Iterator
from random import Random

from lpclip.data.fonts import CHARACTERS, DIGITS, LETTERS
from lpclip.data.glyph_rendering import COLOURS, SIZE

DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SYMBOL_NAMES = {
    "!": "exclamation mark",
    "#": "hash sign",
    "$": "dollar sign",
    "%": "percent sign",
    "&": "ampersand",
    "(": "left round bracket",
    ")": "right round bracket",
    "*": "asterisk",
    "+": "plus sign",
    "/": "slash",
    "<": "less than sign",
    "=": "equals sign",
    ">": "greater than sign",
    "?": "question mark",
    "@": "at sign",
    "[": "left square bracket",
    "]": "right square bracket",
    "{": "left curly bracket",
    "}": "right curly bracket",
    "~": "tilde",
}

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


def phrases(character: str) -> list[str]:
    """Return phrases that name a character in a caption.

    >>> phrases("7")
    ['the number seven', 'the number 7', 'the digit seven', 'the digit 7', 'a seven', 'a 7']
    >>> phrases("b")
    ['the letter b', 'the small letter b']
    >>> phrases("+")
    ['the plus sign', 'a plus sign']
    """
    if character in DIGITS:
        word = DIGIT_WORDS[int(character)]
        article = "an" if character == "8" else "a"
        nouns = [f"the {noun} {name}" for noun in ("number", "digit") for name in (word, character)]
        return [*nouns, f"{article} {word}", f"{article} {character}"]
    if character in LETTERS:
        case = "capital" if character.isupper() else "small"
        return [f"the letter {character}", f"the {case} letter {character}"]
    name = SYMBOL_NAMES[character]
    return [f"the {name}", f"{'an' if name[0] in 'aeiou' else 'a'} {name}"]
