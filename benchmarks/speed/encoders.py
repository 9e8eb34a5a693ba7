"""Encoders on a CPU: channels last and kept memory compared with the defaults.

    python benchmarks/speed/encoders.py

Images per second on tensors in memory, random weights: with PyTorch's memory format and with
channels last, in turns; then both again with freed memory kept by the process, which cannot be
undone.
Writes ``results/encoders.csv``.
"""

import argparse
from functools import partial

import open_clip
import torch
from measure import seconds_of, write

from lpclip.models import tiny
from lpclip.models.malloc import keep_freed_memory

BATCHES = {tiny.ARCHITECTURE: 256, "ViT-B-32": 32, "RN50": 16, "convnext_base": 8}


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--models", nargs="+", default=list(BATCHES), help="model names of open_clip"
    )
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    open_clip.add_model_config(tiny.CONFIG)
    before = {name: measure(name, options.repeats) for name in options.models}
    keep_freed_memory()
    rows = []
    for name in options.models:
        own, last = before[name]
        own_kept, last_kept = measure(name, options.repeats)
        rows.append(
            {
                "model": name,
                "images_per_second": own,
                "channels_last": last / own,
                "memory_kept": own_kept / own,
                "both": last_kept / own,
            }
        )
    write(rows, "encoders")


def measure(name: str, repeats: int) -> tuple[float, float]:
    """Return images per second with PyTorch's memory format and with channels last."""
    batch = BATCHES.get(name, 16)
    own, last = (open_clip.create_model(name).eval() for _ in range(2))
    last.visual.to(memory_format=torch.channels_last)
    size = own.visual.image_size
    images = torch.rand(batch, 3, *(size if isinstance(size, tuple) else (size, size)))
    seconds = seconds_of(
        {"own": partial(own.encode_image, images), "last": partial(last.encode_image, images)},
        repeats=repeats,
    )
    return batch / seconds["own"], batch / seconds["last"]


if __name__ == "__main__":
    main()
