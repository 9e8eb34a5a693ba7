"""Encoders with channels last, as lpclip runs them, against PyTorch's own order of memory.

    python benchmarks/speed/memory_format.py

Images per second on tensors in memory, random weights. Writes ``results/memory_format.csv``.
"""

import argparse
from copy import deepcopy
from functools import partial

import open_clip
import torch
from measure import machine, seconds_of, write

from lpclip import tiny

BATCHES = {tiny.ARCHITECTURE: 256, "ViT-B-32": 32, "RN50": 16, "convnext_base": 8}


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--models", nargs="+", default=list(BATCHES), help="names of open_clip")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    open_clip.add_model_config(tiny.CONFIG)
    rows = []
    for name in options.models:
        model = open_clip.create_model(name, device=options.device).eval()
        last = deepcopy(model)
        last.visual.to(memory_format=torch.channels_last)
        batch = BATCHES.get(name, 16)
        size = model.visual.image_size
        shape = size if isinstance(size, tuple) else (size, size)
        images = torch.rand(batch, 3, *shape, device=options.device)

        def encode(one: torch.nn.Module, images: torch.Tensor = images) -> None:
            one.encode_image(images)
            if images.is_cuda:
                torch.cuda.synchronize()

        seconds = seconds_of(
            {"channels last": partial(encode, last), "as torch has it": partial(encode, model)},
            repeats=options.repeats,
        )
        rates = {layout: batch / taken for layout, taken in seconds.items()}
        ratio = rates["channels last"] / rates["as torch has it"]
        rows.append({"model": name, **rates, "ratio": ratio, "machine": machine(options.device)})
    write(rows, "memory_format")


if __name__ == "__main__":
    main()
