"""Train the embedded CLIP: ``python -m benchmarks.tiny.train`` writes lpclip's own weights.

Contrastive training (Radford et al. 2021) on pairs of a rendered character and a caption, generated
on the fly. No real images are used. The same seed, settings, thread count and library versions give
bit-identical weights.
"""

import argparse
import json
import math
import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from random import Random

import open_clip
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from tqdm import tqdm

from benchmarks.tiny.captions import caption, every_word, phrases
from lpclip.data.fonts import CHARACTERS, DIGITS, glyphs
from lpclip.data.glyph_rendering import COLOURS, render
from lpclip.models.tiny import ARCHITECTURE, CONFIG, WEIGHTS
from lpclip.models.tiny.weights import EMBEDDING, TOKEN_IDS, expand, write_compact

STEPS, BATCH, WARM_UP = 3000, 128, 200
LEARNING_RATE, FINAL_SHARE, WEIGHT_DECAY, BETAS = 2e-3, 0.02, 0.1, (0.9, 0.98)
QUICK_STEPS = 20


class Captions:
    """Tokenised captions in a reduced vocabulary of the tokens that occur.

    The compact ids are the ranks of the original ones, so end-of-text, the largest, stays the
    largest, and the text tower pools at the same position as with the full vocabulary.
    """

    def __init__(self, context_length: int) -> None:
        self._tokenize = open_clip.SimpleTokenizer(context_length=context_length)
        self._known: dict[str, Tensor] = {}
        captions = list(every_word())
        self.ids = torch.unique(self._tokenize(captions))

    def __call__(self, captions: list[str]) -> Tensor:
        """Return compact token ids, int64 [B, context length]."""
        for text in captions:
            if text not in self._known:
                self._known[text] = torch.searchsorted(self.ids, self._tokenize(text)[0])
        return torch.stack([self._known[text] for text in captions])


def compact(state_dict: Mapping[str, Tensor], token_ids: Tensor) -> dict[str, Tensor]:
    """Return the compact form of a full open_clip state dict; the inverse of ``expand``.

    Args:
        state_dict: a full state dict.
        token_ids: int [T], ascending; the rows of the embedding to keep.

    Returns:
        Tensors in float16 (integers as they are), and ``token_ids`` as int32.
    """
    kept = dict(state_dict)
    kept[EMBEDDING] = kept[EMBEDDING][token_ids]
    small = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).detach().contiguous()
        for name, tensor in kept.items()
    }
    small[TOKEN_IDS] = token_ids.to(torch.int32)
    return small


def train(
    *,
    seed: int = 0,
    steps: int = STEPS,
    batch: int = BATCH,
    threads: int = 2,
    progress: bool = True,
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Train from scratch.

    Args:
        seed: seed of the initial weights, the images and the captions.
        steps: number of updates; the learning rate rises for the first 200 (or a tenth of them, if
            fewer) and falls along a cosine to 2 %.
        batch: pairs per step.
        threads: threads of torch; the order of sums depends on it, so another number gives slightly
            different weights.
        progress: show a progress bar.

    Returns:
        Tensors and metadata of the compact file, see ``lpclip.models.tiny.weights``.
    """
    torch_threads, torch_state = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(threads)
    try:
        torch.manual_seed(seed)
        config = json.loads(CONFIG.read_text())
        captions = Captions(config["text_cfg"]["context_length"])
        config["text_cfg"]["vocab_size"] = len(captions.ids)
        model = open_clip.CLIP(**config)
        _optimise(model, captions, seed=seed, steps=steps, batch=batch, progress=progress)
    finally:
        torch.set_num_threads(torch_threads)
        torch.set_rng_state(torch_state)
    tensors = compact(model.state_dict(), torch.arange(len(captions.ids)))
    tensors[TOKEN_IDS] = captions.ids.to(torch.int32)
    recipe = {
        "seed": seed,
        "steps": steps,
        "batch": batch,
        "threads": threads,
        "learning_rate": LEARNING_RATE,
        "weight_decay": WEIGHT_DECAY,
        "betas": BETAS,
    }
    versions = {
        name: version(name) for name in ("torch", "open_clip_torch", "matplotlib", "pillow")
    }
    about = {
        "architecture": ARCHITECTURE,
        "licence": "MIT",
        "recipe": recipe,
        "versions": {**versions, "python": platform.python_version()},
    }
    # A single entry, since safetensors writes several in arbitrary order.
    return tensors, {"lpclip": json.dumps(about, sort_keys=True)}


@torch.no_grad()
def rendered_accuracy(
    tensors: dict[str, Tensor], characters: str, *, seed: int, n: int = 2000
) -> float:
    """Return zero-shot accuracy on newly rendered images of the characters, a fraction.

    The head is the mean of the unit text features of "a photo of …" with every name that identifies
    the character: letters with their case, digits as word and figure.
    """
    config = json.loads(CONFIG.read_text())
    model = open_clip.CLIP(**config).eval()
    model.load_state_dict(expand(tensors))
    tokenize = open_clip.SimpleTokenizer(context_length=config["text_cfg"]["context_length"])
    names = [
        [f"a photo of {p}." for p in phrases(c)[1 if c.isalpha() else 0 :]] for c in characters
    ]
    head = torch.stack([model.encode_text(tokenize(t), normalize=True).mean(0) for t in names])
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % len(characters)
    places = torch.tensor([CHARACTERS.index(c) for c in characters])[labels]
    images, _ = render(_pick(places, generator), generator)
    features = model.encode_image(_normalise(images), normalize=True)
    predictions = (features @ F.normalize(head, dim=1).T).argmax(1)
    return float((predictions == labels).float().mean())


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; see ``--help``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tiny.train", description=__doc__)
    parser.add_argument("--output", type=Path, default=WEIGHTS.parent, help="folder to write to")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_STEPS} steps: a valid file, a useless model"
    )
    options = parser.parse_args(arguments)
    tensors, metadata = train(
        seed=options.seed,
        steps=QUICK_STEPS if options.quick else options.steps,
        batch=options.batch,
        threads=options.threads,
    )
    path = options.output / WEIGHTS.name
    write_compact(path, tensors, metadata)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB, {len(tensors[TOKEN_IDS])} tokens")
    for name, characters in (("digits", DIGITS), ("all characters", CHARACTERS)):
        accuracy = rendered_accuracy(tensors, characters, seed=options.seed + 1_000_000)
        print(f"zero-shot accuracy on newly rendered {name}: {accuracy:.3f}")


def _optimise(
    model: open_clip.CLIP,
    captions: Captions,
    *,
    seed: int,
    steps: int,
    batch: int,
    progress: bool,
) -> None:
    """Run the steps; the model is left in evaluation mode."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    optimiser = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": WEIGHT_DECAY},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=LEARNING_RATE,
        betas=BETAS,
    )
    warm_up = min(WARM_UP, max(1, steps // 10))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: _learning_rate_share(step, steps=steps, warm_up=warm_up)
    )
    pairs = _pairs(captions, seed=seed, batch=batch)
    model.train()
    with tqdm(total=steps * batch, unit="image", unit_scale=True, disable=not progress) as bar:
        for _ in range(steps):
            images, tokens = next(pairs)
            loss = _contrastive_loss(model, images, tokens)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            with torch.no_grad():
                model.logit_scale.clamp_(0, math.log(100))  # as in the paper
            bar.set_postfix(loss=f"{loss.item():.2f}", refresh=False)
            bar.update(batch)
    model.eval()


def _contrastive_loss(model: open_clip.CLIP, images: Tensor, tokens: Tensor) -> Tensor:
    image_features = model.encode_image(images, normalize=True)
    text_features = model.encode_text(tokens, normalize=True)
    logits = model.logit_scale.exp() * image_features @ text_features.T
    target = torch.arange(len(logits))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def _pairs(captions: Captions, *, seed: int, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield endless batches of normalised images [B, 3, 32, 32] and token ids [B, context length].

    Characters come in shuffled rounds with every digit twice, so that a batch has few images that
    also match another pair's caption.
    """
    generator, random = torch.Generator().manual_seed(seed), Random(seed)
    names = tuple(COLOURS)
    queue: list[int] = []
    one_round = [*range(len(CHARACTERS)), *range(len(DIGITS))]
    while True:
        while len(queue) < batch:
            queue += random.sample(one_round, len(one_round))
        places, queue = queue[:batch], queue[batch:]
        images, style = render(_pick(torch.tensor(places), generator), generator)
        texts = [
            caption(
                CHARACTERS[place],
                foreground=names[foreground],
                background=names[background],
                resolution=resolution,
                noise=noise,
                random=random,
            )
            for place, foreground, background, resolution, noise in zip(
                places, *(field.tolist() for field in style), strict=True
            )
        ]
        yield _normalise(images), captions(texts)


def _pick(places: Tensor, generator: torch.Generator) -> Tensor:
    """Return masks [B, 48, 48] of the characters, each in a random font."""
    shapes = glyphs()
    font = (torch.rand(len(places), generator=generator) * shapes.fonts[places]).long()
    return shapes.masks[shapes.first[places] + font]


def _normalise(images: Tensor) -> Tensor:
    mean, std = (
        torch.tensor(values)[:, None, None]
        for values in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    )
    return (images - mean) / std


def _learning_rate_share(step: int, *, steps: int, warm_up: int) -> float:
    if step < warm_up:
        return (step + 1) / warm_up
    progress = (step - warm_up) / max(1, steps - warm_up)
    return FINAL_SHARE + (1 - FINAL_SHARE) * (1 + math.cos(math.pi * progress)) / 2


if __name__ == "__main__":
    main()
