"""Export a probe to a file for other programs, with instructions for its use."""

import io
import json
import textwrap
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from lpclip.errors import LpclipError
from lpclip.models import tiny
from lpclip.models.spec import EMBEDDED, PRECOMPUTED, is_checkpoint
from lpclip.storage.probe import Probe, load_probe
from lpclip.storage.probes import MODEL, place, read_probes
from lpclip.storage.untrusted import check_untrusted
from lpclip.utils.atomic import atomic_path
from lpclip.utils.writable import check_output_folder


def export(
    *,
    probes: Path,
    to: str,
    output: Path,
    round: int = -1,
    seed: int | None = None,
    member: int | None = None,
) -> list[Path]:
    """Write a head that computes the probe's logits, ``head.json`` and ``README.md``.

    ``head.safetensors`` and ``head.pt`` are the state of a ``torch.nn.Linear`` for features of
    unit length, with the scale included. ``head.onnx`` maps ``features`` ``[N, D]`` of any length
    to ``logits`` ``[N, C]``.

    Args:
        probes: a ``probes.h5``.
        to: ``safetensors``, ``torch`` or ``onnx``.
        output: folder, created if it is missing.
        round: counted from 0, the zero-shot head; -1 is the last.
        seed: of the probe; None for the first seed of the method.
        member: of an ensemble, counted from 0.

    Returns:
        The files.

    Raises:
        LpclipError: no such round, seed or member; an ensemble without a member; onnx is not
            installed; the output is not a folder or cannot be written.
    """
    check_output_folder(output)
    check_untrusted(probes)
    heads, _ = read_probes(probes, pool_alone=True)
    round, seed_index = place(probes, heads, round=round, seed=seed)
    probe = load_probe(probes, round=round, seed=heads.seeds[seed_index], member=member)
    about = _about(probe, round, heads.seeds[seed_index], member)
    name, content = _WRITERS[to](probe, about)
    files = {
        name: content,
        "head.json": (json.dumps(about, indent=2, ensure_ascii=False) + "\n").encode(),
        "README.md": _readme(probe, about, to, name).encode(),
    }
    for file, data in files.items():
        with atomic_path(output / file) as temporary:
            temporary.write_bytes(data)
    return [output / file for file in files]


def _about(probe: Probe, round: int, seed: int, member: int | None) -> dict[str, Any]:
    found = {name: probe.provenance[name] for name in MODEL if name in probe.provenance}
    made_by = {name: probe.provenance.get(name, "") for name in ("benchmark", "method")}
    return {
        "class_names": list(probe.class_names),
        "scale": probe.scale,
        **found,
        **made_by,
        "round": round,
        "seed": seed,
        **({} if member is None else {"member": member}),
        "lpclip": version("lpclip"),
    }


def _json(about: Mapping[str, Any]) -> str:
    return json.dumps(about, ensure_ascii=False, sort_keys=True)


def _safetensors(probe: Probe, about: Mapping[str, Any]) -> tuple[str, bytes]:
    from safetensors.torch import save

    state = probe.to_linear().state_dict()
    # One key: the library writes several in an unstable order.
    return "head.safetensors", save(dict(state), metadata={"head": _json(about)})


def _torch(probe: Probe, _about: Mapping[str, Any]) -> tuple[str, bytes]:
    import torch

    # Through memory: the file name would become part of the contents.
    buffer = io.BytesIO()
    torch.save(dict(probe.to_linear().state_dict()), buffer)
    return "head.pt", buffer.getvalue()


def _onnx(probe: Probe, about: Mapping[str, Any]) -> tuple[str, bytes]:
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise LpclipError(
            "Exporting to ONNX needs the package onnx. Install it with: pip install 'lpclip[onnx]'"
        ) from error
    n_classes, dim = probe.weight.shape
    constants = {
        "weight": probe.weight,
        "bias": probe.bias,
        "axes": np.array([1], dtype=np.int64),
        "smallest": np.array(np.finfo(np.float32).tiny),  # a zero feature stays zero
    }
    graph = helper.make_graph(
        [
            helper.make_node("ReduceL2", ["features", "axes"], ["length"], keepdims=1),
            helper.make_node("Max", ["length", "smallest"], ["divisor"]),
            helper.make_node("Div", ["features", "divisor"], ["unit"]),
            helper.make_node(
                "Gemm", ["unit", "weight", "bias"], ["logits"], alpha=probe.scale, transB=1
            ),
        ],
        "head",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", dim])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", n_classes])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    # Versions that runtimes since 2023 read; the newest are refused by many.
    model = helper.make_model(
        graph, producer_name="lpclip", ir_version=8, opset_imports=[helper.make_opsetid("", 18)]
    )
    helper.set_model_props(model, {"head": _json(about)})
    onnx.checker.check_model(model, full_check=True)
    return "head.onnx", model.SerializeToString(deterministic=True)


_WRITERS: Mapping[str, Callable[[Probe, Mapping[str, Any]], tuple[str, bytes]]] = {
    "safetensors": _safetensors,
    "torch": _torch,
    "onnx": _onnx,
}
FORMATS = tuple(_WRITERS)


def _readme(probe: Probe, about: Mapping[str, Any], to: str, name: str) -> str:
    n_classes, dim = probe.weight.shape
    keys = ("architecture", "pretrained")
    encoder = ", ".join(f"`{about[key]}`" for key in keys if about.get(key))
    origin = (
        f"For the image encoder {encoder or 'unknown'}, weights {about.get('weights', 'unknown')}: "
        f"round {about['round']} of seed {about['seed']} of the method `{about['method']}` on the "
        f"benchmark `{about['benchmark']}`, written by lpclip {about['lpclip']}."
    )
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

{textwrap.fill(origin, 100)}

    logits = scale * (features / |features|) @ weight.T + bias        scale = {probe.scale:.6g}

{textwrap.fill(f"{length} {rest}", 100)}

In this folder, next to an image:

```python
{_snippet(about, to, name, dim, n_classes)}
```
"""


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
