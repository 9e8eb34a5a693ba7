"""The embedded CLIP: a small model in open_clip's own architecture, trained by this project.

``weights.py`` opens the weights, ``train.py`` made them; ``CARD.md`` says from what and how good
they are. Images are normalised with open_clip's default mean and standard deviation, the ones that
``open_clip.create_model_and_transforms`` uses for a checkpoint file, so no argument can be
forgotten.
"""

from pathlib import Path

ARCHITECTURE = "lpclip-tiny"
CONFIG = Path(__file__).with_name("lpclip-tiny.json")
WEIGHTS = Path(__file__).with_name("weights.safetensors")
