"""Export a probe to a file for other programs, with instructions for its use."""

import io
import json
import os
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from lpclip.cli.export_readme import classifier_readme, head_readme
from lpclip.errors import LpclipError
from lpclip.models.from_provenance import load_encoder
from lpclip.models.onnx_graph import IR, OPSET, require_onnx
from lpclip.models.spec import FOLDER, is_checkpoint
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
    with_encoder: bool = False,
    checkpoint: Path | None = None,
) -> list[Path]:
    """Write a head that computes the probe's logits, ``head.json`` and ``README.md``.

    ``head.safetensors`` and ``head.pt`` are the state of a ``torch.nn.Linear`` for features of
    unit length, with the scale included. ``head.onnx`` maps ``features`` ``[N, D]`` of any length
    to ``logits`` ``[N, C]``. With the encoder, ``classifier.onnx`` maps pixels to classes
    (``lpclip.cli.export_classifier``).

    Args:
        probes: a ``probes.h5``.
        to: ``safetensors``, ``torch`` or ``onnx``.
        output: folder, created if it is missing.
        round: counted from 0, the zero-shot head; -1 is the last.
        seed: of the probe; None for the first seed of the method.
        member: of an ensemble, counted from 0.
        with_encoder: write the image encoder and its preprocessing as well; only to onnx.
        checkpoint: weights of the encoder, if they are not where the probes file expects them.

    Returns:
        The files.

    Raises:
        LpclipError: no such round, seed or member; an ensemble without a member; onnx is not
            installed; the output is not a folder or cannot be written; an encoder that cannot be
            loaded or exported.
    """
    if with_encoder and to != "onnx":
        raise LpclipError(f"--with-encoder goes with --to onnx, not with --to {to}.")
    check_output_folder(output)
    check_untrusted(probes)
    heads, _ = read_probes(probes, pool_alone=True)
    round, seed_index = place(probes, heads, round=round, seed=seed)
    probe = load_probe(probes, round=round, seed=heads.seeds[seed_index], member=member)
    about = about_head(probe, round, heads.seeds[seed_index], member)
    found = _found(about, probes, checkpoint)
    if with_encoder:
        name, content, readme = _with_encoder(probes, probe, about, found)
    else:
        name, content = _WRITERS[to](probe, about)
        readme = head_readme(probe, _seen_from(output, found), to, name)
    files = {
        name: content,
        "head.json": head_json(about),
        "README.md": readme.encode(),
    }
    for file, data in files.items():
        with atomic_path(output / file) as temporary:
            temporary.write_bytes(data)
    return [output / file for file in files]


def _with_encoder(
    probes: Path, probe: Probe, about: Mapping[str, Any], found: Mapping[str, Any]
) -> tuple[str, bytes, str]:
    """Return name and content of a classifier, and its README."""
    # PyTorch and open_clip, which heads do not need.
    from lpclip.cli.export_classifier import classifier

    zero_shot = load_probe(probes, round=0, seed=about["seed"])
    model = load_encoder(probes, {**probe.provenance, **found}, checkpoint=None, device="cpu")
    content, checked_with = classifier(probe, zero_shot, model, about)
    name = "classifier.onnx"
    return name, content, classifier_readme(probe, about, name, checked_with)


def _found(about: Mapping[str, Any], probes: Path, checkpoint: Path | None) -> dict[str, Any]:
    """Return what is known of a model, with its files where they are seen from here.

    Relative paths are those of the folder that the workflow ran in, one above the probes file.
    """
    found = dict(about)
    if checkpoint is not None:
        return found | {"pretrained": str(checkpoint)}
    for key, prefix in _PATHS.items():
        path = _relative_path(found, key)
        if path is not None:
            places = [Path(), *probes.absolute().parent.parents]
            at = [place / path for place in places if (place / path).exists()]
            found[key] = f"{prefix}{os.path.relpath(at[0]) if at else path}"
    return found


# Names of the provenance that may hold a path, and what stands before it.
_PATHS = {"architecture": FOLDER, "pretrained": ""}


def _relative_path(about: Mapping[str, Any], key: str) -> Path | None:
    text = str(about.get(key, ""))
    is_path = text.startswith(FOLDER) if key == "architecture" else is_checkpoint(text)
    path = Path(text.removeprefix(_PATHS[key]))
    return path if is_path and not path.is_absolute() else None


def _seen_from(folder: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of a model, with the relative paths of its files seen from a folder."""
    seen = dict(about)
    for key, prefix in _PATHS.items():
        path = _relative_path(about, key)
        if path is not None and path.exists():
            whole = path.parent.resolve() / path.name
            seen[key] = prefix + Path(os.path.relpath(whole, folder.resolve())).as_posix()
    return seen


def about_head(probe: Probe, round: int, seed: int, member: int | None) -> dict[str, Any]:
    """Return what ``head.json`` holds: the classes, and where the head comes from."""
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


def head_json(about: Mapping[str, Any]) -> bytes:
    """Return the content of ``head.json``."""
    return (json.dumps(about, indent=2, ensure_ascii=False) + "\n").encode()


def _json(about: Mapping[str, Any]) -> str:
    return json.dumps(about, ensure_ascii=False, sort_keys=True)


def safetensors_head(probe: Probe, about: Mapping[str, Any]) -> tuple[str, bytes]:
    """Return name and content of the state of a ``torch.nn.Linear``, scale included."""
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
    onnx = require_onnx()
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
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
        [helper.make_tensor_value_info("features", float32, ["N", dim])],
        [helper.make_tensor_value_info("logits", float32, ["N", n_classes])],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(
        graph, producer_name="lpclip", ir_version=IR, opset_imports=[helper.make_opsetid("", OPSET)]
    )
    helper.set_model_props(model, {"head": _json(about)})
    onnx.checker.check_model(model, full_check=True)
    return "head.onnx", model.SerializeToString(deterministic=True)


_WRITERS: Mapping[str, Callable[[Probe, Mapping[str, Any]], tuple[str, bytes]]] = {
    "safetensors": safetensors_head,
    "torch": _torch,
    "onnx": _onnx,
}
FORMATS = tuple(_WRITERS)
