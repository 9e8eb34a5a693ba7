"""The embedded CLIP: a small model in open_clip's own architecture, trained by this project.

``weights.py`` reads the weights, ``benchmarks/tiny/train.py`` made them; ``CARD.md`` describes the
training data and the accuracy. Images are normalised with open_clip's default mean and standard
deviation, so ``open_clip.create_model_and_transforms`` needs no arguments for them.
"""

from pathlib import Path

ARCHITECTURE = "lpclip-tiny"
CONFIG = Path(__file__).with_name("lpclip-tiny.json")
WEIGHTS = Path(__file__).with_name("weights.safetensors")
