"""Zero-shot accuracy of the embedded CLIP: ``python -m benchmarks.tiny.evaluate``."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812

from benchmarks.tiny.captions import DIGIT_WORDS
from benchmarks.tiny.train import rendered_accuracy
from lpclip.data.base import Source
from lpclip.data.fonts import CHARACTERS, DIGITS
from lpclip.data.registry import open_source
from lpclip.models.clip import Model, load_model
from lpclip.models.spec import EMBEDDED, ModelSpec
from lpclip.models.tiny import ARCHITECTURE
from lpclip.models.tiny.weights import read_compact

TEMPLATES = (
    "a photo of the number {}.",
    "an image of the number {}.",
    "a photo of the digit {}.",
    "an image of the digit {}.",
)
NAMES = {"words": DIGIT_WORDS, "figures": tuple(DIGITS)}
DISTORTIONS = (0.0, 0.5, 1.0, 1.5, 1.75, 2.0)


@torch.inference_mode()
def zero_shot_accuracy(
    model: Model, source: Source, names: Sequence[str], templates: Sequence[str] = TEMPLATES
) -> float:
    """Return zero-shot accuracy, a fraction; the head is the mean of the templates' unit features.

    Args:
        model: any CLIP.
        source: labelled images.
        names: class names, in the order of the labels.
        templates: with one ``{}`` each.
    """
    texts = [model.tokenizer([template.format(name) for template in templates]) for name in names]
    head = torch.stack([model.clip.encode_text(t, normalize=True).mean(0) for t in texts])
    samples = source.samples()
    labels = torch.tensor([sample.label for sample in samples])
    pixels = torch.stack([model.to_pixels(source.read(sample.path)) for sample in samples])
    predictions = (model.embed(pixels) @ F.normalize(head, dim=1).T).argmax(1)
    return float((predictions == labels).float().mean())


def main() -> None:
    """Print the table."""
    tensors, _ = read_compact()
    model = load_model(ModelSpec("tiny", ARCHITECTURE, EMBEDDED), device="cpu")
    for name, characters in (("digits", DIGITS), ("all characters", CHARACTERS)):
        print(
            f"newly rendered {name}: {rendered_accuracy(tensors, characters, seed=1_000_000):.3f}"
        )
    for split in ("adapt", "test", "all"):
        _print_row(model, f"handwritten digits, {split}", open_source("digits", {"split": split}))
    for distortion in DISTORTIONS:
        settings = {"characters": "digits", "n": 1000, "distortion": distortion}
        _print_row(
            model, f"rendered digits, distortion {distortion}", open_source("glyphs", settings)
        )


def _print_row(model: Model, name: str, source: Source) -> None:
    figures = (
        f"{key} {zero_shot_accuracy(model, source, names):.3f}" for key, names in NAMES.items()
    )
    print(f"{name}: {', '.join(figures)}", flush=True)


if __name__ == "__main__":
    main()
