"""Small imitations of published datasets, in their layouts."""

import json

import numpy as np
from PIL import Image

from lpclip.transforms.corruptions.registry import SEVERITIES

CORRUPTIONS = ("gaussian_noise", "fog")
WNIDS = ("n01440764", "n01443537", "n02708093", "n03196217")
NAMES = ("tench", "goldfish", "analog clock", "digital clock")


def picture(*seed, size=224):
    return np.random.default_rng(seed).integers(256, size=(size, size, 3), dtype=np.uint8)


def write_imagenet_c(root, corruptions=CORRUPTIONS, wnids=WNIDS[:2], per_class=2, size=224):
    """Write {corruption}/{severity}/{wnid}/*.JPEG with PNG content, so that pixels are exact."""
    for c, name in enumerate(corruptions):
        for severity in SEVERITIES:
            for label, wnid in enumerate(wnids):
                folder = root / name / str(severity) / wnid
                folder.mkdir(parents=True)
                for i in range(per_class):
                    path = folder / f"ILSVRC2012_val_{label}{i}.JPEG"
                    image = Image.fromarray(picture(c, severity, label, i, size=size))
                    image.save(path, format="PNG")
    return root


def write_cifar_c(root, labels, corruptions=CORRUPTIONS, size=32):
    root.mkdir(parents=True, exist_ok=True)
    n = len(labels)
    for c, name in enumerate(corruptions):
        images = [picture(c, s, i, size=size) for s in SEVERITIES for i in range(n)]
        np.save(root / f"{name}.npy", np.stack(images))
    np.save(root / "labels.npy", np.tile(np.asarray(labels, np.uint8), len(SEVERITIES)))
    return root


def write_objectnet(root, *, first=0):
    """Write four folders, one of a class not in ImageNet; labels not in timm's order."""
    labels = ["digital clock", "tench, Tinca tinca", "goldfish", "analog clock"]
    places = {"0": 1, "1": 2, "409": 3, "530": 0}
    assert all(place < len(labels) for place in places.values())
    texts = {
        "folder_to_objectnet_label.json": json.dumps(
            {"alarm_clock": "Alarm clock", "fish": "Fish", "gold": "Goldfish", "air": "Air"}
        ),
        "objectnet_to_imagenet_1k.json": json.dumps(
            {
                "Alarm clock": "analog clock; digital clock",
                "Fish": "tench, Tinca tinca",
                "Goldfish": "goldfish",
            }
        ),
        "imagenet_to_label_2012_v2": "\n".join(labels) + "\n",
        "pytorch_to_imagenet_2012_id.json": json.dumps(
            {index: place + first for index, place in places.items()}
        ),
    }
    (root / "mappings").mkdir(parents=True)
    for name, text in texts.items():
        (root / "mappings" / name).write_text(text)
    for folder in ("air", "alarm_clock", "fish", "gold"):
        (root / "images" / folder).mkdir(parents=True)
        for i in range(2):
            pixels = np.zeros((20, 30, 3), np.uint8)
            pixels[:] = (255, 0, 0)
            pixels[2:-2, 2:-2] = 40 * i
            Image.fromarray(pixels).save(root / "images" / folder / f"{i}.png")
    return root
