"""The README of an exported head: what it is, and a program that uses it."""

import json
import textwrap
from collections.abc import Mapping
from typing import Any

from lpclip.models import tiny
from lpclip.models.spec import EMBEDDED, PRECOMPUTED, is_checkpoint
from lpclip.storage.probe import Probe


def head_readme(probe: Probe, about: Mapping[str, Any], to: str, name: str) -> str:
    """Return the README of a head alone.

    Args:
        probe: the head.
        about: what is known of it; paths of the encoder's files as seen from its folder.
        to: format of the head.
        name: of its file.
    """
    n_classes, dim = probe.weight.shape
    length = (
        f"`{name}` takes features as the encoder gives them; it divides by their length itself."
        if to == "onnx"
        else f"`{name}` is the state of `torch.nn.Linear({dim}, {n_classes})` for features of unit "
        "length; the scale is multiplied into its weight already."
    )
    rest = (
        "The classes, in the order of the logits, and what else is known of the head are in "
        "`head.json`. Probabilities are the softmax of the logits."
    )
    return f"""# A head for {n_classes} classes

{textwrap.fill(f"For the image encoder {_origin(about)}", 100, break_on_hyphens=False)}

    logits = scale * (features / |features|) @ weight.T + bias        scale = {probe.scale:.6g}

{textwrap.fill(f"{length} {rest}", 100, break_on_hyphens=False)}

In this folder, next to an image:

```python
{_snippet(about, to, name, dim, n_classes)}
```
"""


def classifier_readme(probe: Probe, about: Mapping[str, Any], name: str, checked_with: str) -> str:
    """Return the README of an encoder with a head.

    Args:
        probe: the head.
        about: what is known of it.
        name: of the file.
        checked_with: version of onnxruntime that the file was checked with; empty for none.
    """
    n_classes = len(probe.class_names)
    checked = (
        "It was compared with `lpclip predict` on images of odd sizes (onnxruntime "
        f"{checked_with}): probabilities differ by less than 0.001."
        if checked_with
        else "It was not compared with `lpclip predict`, since onnxruntime was not installed."
    )
    use = (
        f"`{name}` takes `images`, RGB pixels uint8 `[N, H, W, 3]` of any size; it resizes, crops "
        "and normalises them for the encoder. Rotate by EXIF and put transparent areas on white "
        "before. Large photographs take less time if they are made smaller before."
    )
    return f"""# A classifier of images for {n_classes} classes

{textwrap.fill(f"With the image encoder {_origin(about)} {checked}", 100, break_on_hyphens=False)}

{textwrap.fill(use, 100, break_on_hyphens=False)}

| output | meaning |
| --- | --- |
| `class_index` | int64 `[N]`, number of the class; names are in `head.json` |
| `confidence` | `[N]`, its probability |
| `half_way_max_logit` | `[N]`, low for images of none of the classes; it has no fixed scale |
| `probabilities` | `[N, C]`, of all classes |

In this folder, next to an image:

```python
import json
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

classifier = onnxruntime.InferenceSession("{name}")
classes = json.loads(Path("head.json").read_text(encoding="utf-8"))["class_names"]
image = ImageOps.exif_transpose(Image.open("image.png")).convert("RGB")
pixels = np.asarray(image)[None]
outputs = ["class_index", "confidence", "half_way_max_logit"]
for index, confidence, score in zip(*classifier.run(outputs, {{"images": pixels}})):
    print(classes[index], confidence, score)
```
"""


def _origin(about: Mapping[str, Any]) -> str:
    """Return which encoder a head is for, and where it comes from."""
    keys = ("architecture", "pretrained")
    encoder = ", ".join(f"`{about[key]}`" for key in keys if about.get(key))
    return (
        f"{encoder or 'unknown'}, weights {about.get('weights', 'unknown')}: "
        f"round {about['round']} of seed {about['seed']} of the method `{about['method']}` on the "
        f"benchmark `{about['benchmark']}`, written by lpclip {about['lpclip']}."
    )


def _snippet(about: Mapping[str, Any], to: str, name: str, dim: int, n_classes: int) -> str:
    if to == "onnx":
        head = (
            f'head = onnxruntime.InferenceSession("{name}")\n'
            '(logits,) = head.run(None, {"features": features.float().numpy()})'
        )
    else:
        load = f'load_file("{name}")'
        if to == "torch":
            load = f'torch.load("{name}", weights_only=True)'
        head = (
            f"head = torch.nn.Linear({dim}, {n_classes})\n"
            f"head.load_state_dict({load})\n"
            "logits = head(torch.nn.functional.normalize(features.float(), dim=-1))"
        )
    more, features = _features(about)
    more += {
        "onnx": ["import onnxruntime"],
        "safetensors": ["from safetensors.torch import load_file"],
    }.get(to, [])
    lines = sorted(["import torch", *more], key=lambda one: (one.startswith("from"), one.lower()))
    imports = "\n".join(lines)
    return f"""import json
from pathlib import Path

{imports}

{features}

{head}
classes = json.loads(Path("head.json").read_text(encoding="utf-8"))["class_names"]
for row in logits:
    print(classes[int(row.argmax())])"""


def _features(about: Mapping[str, Any]) -> tuple[list[str], str]:
    """Return imports and lines that compute ``features``, a tensor."""
    pretrained = about.get("pretrained", PRECOMPUTED)
    if pretrained == PRECOMPUTED:
        where = "# [N, D], of the model whose features the head was trained on"
        line = 'features = torch.from_numpy(np.load("features.npy"))'
        return ["import numpy as np"], f"{where}\n{line}"
    imports, prepare = ["import open_clip", "from PIL import Image, ImageOps"], ""
    if about["architecture"] == tiny.ARCHITECTURE:
        imports.append("from lpclip import tiny")
        prepare = "open_clip.add_model_config(tiny.CONFIG)\n"
    if pretrained == EMBEDDED:
        imports.append("from lpclip.models.tiny.weights import write_plain")
        prepare += (
            'write_plain(Path("lpclip-tiny.safetensors"))  # the weights that come with lpclip\n'
        )
    arguments = "".join(f"    {argument},\n" for argument in _arguments(about, pretrained))
    lines = f"""{prepare}model, _, preprocess = open_clip.create_model_and_transforms(
{arguments})
# Rotated as by lpclip, which also puts transparent areas on white.
image = ImageOps.exif_transpose(Image.open("image.png"))
pixels = preprocess(image.convert("RGB")).unsqueeze(0)
with torch.inference_mode():
    features = model.eval().encode_image(pixels)"""
    return imports, lines


def _arguments(about: Mapping[str, Any], pretrained: str) -> list[str]:
    """Return the arguments with which open_clip builds the same model."""
    found: dict[str, Any] = {}
    if pretrained:  # empty if the architecture has its own weights
        found["pretrained"] = "lpclip-tiny.safetensors" if pretrained == EMBEDDED else pretrained
    for name, type_ in (("force_quick_gelu", bool), ("force_image_size", int)):
        if about.get(name):
            found[name] = type_(about[name])
    if pretrained != EMBEDDED and is_checkpoint(pretrained):
        # A file does not hold its preprocessing.
        prepared = json.loads(about.get("preprocessing", "{}"))
        for name in ("mean", "std", "interpolation", "resize_mode"):
            if name in prepared:
                found[f"image_{name}"] = prepared[name]
    texts = [f"{k}={v if isinstance(v, bool) else json.dumps(v)}" for k, v in found.items()]
    return [json.dumps(about["architecture"]), *texts]
