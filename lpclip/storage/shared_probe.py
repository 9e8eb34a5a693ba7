"""One probe with its zero-shot head as a safetensors file, as it is shared on a hub.

Tensors are those of ``probes.h5`` with one seed and two rounds, zero-shot and the probe. Everything
else is JSON under the key ``lpclip`` of the file's metadata: no pickle, no program.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lpclip.errors import LpclipError
from lpclip.storage.json_text import parse_json
from lpclip.storage.probes import Probes
from lpclip.types import FloatArray

FILE = "probe.safetensors"
KEY = "lpclip"  # of the metadata
VERSION = 1
_TENSORS = ("weight", "bias", "member_weight", "member_bias")


def shared_probe(
    probes: Probes, provenance: Mapping[str, Any], *, round: int, seed_index: int
) -> bytes:
    """Return the file of one probe.

    Args:
        probes: all of a method.
        provenance: what is shared of it, values that JSON has.
        round: counted from 0, the zero-shot head.
        seed_index: place of the seed.
    """
    rounds = [0, round] if round else [0]
    tensors = {
        "weight": probes.weight[rounds, seed_index : seed_index + 1],
        "bias": probes.bias[rounds, seed_index : seed_index + 1],
    }
    if probes.member_weight is not None and round == probes.n_rounds - 1:
        weight, bias = probes.last()
        tensors["member_weight"] = weight[seed_index : seed_index + 1]
        tensors["member_bias"] = bias[seed_index : seed_index + 1]
    seed = probes.seeds[seed_index]
    table = probes.rounds
    of_seed = table[(table["seed"] == seed) & table["round"].isin(rounds)]
    about = {
        "version": VERSION,
        "class_names": list(probes.class_names),
        "seed": seed,
        "round": round,
        "scale": probes.scale,
        "n_labels": probes.n_labels,
        "strong_policy": probes.strong_policy,
        "student_view": probes.student_view,
        "provenance": dict(provenance),
        "rounds": _columns(of_seed),
        "guard": None if probes.guard is None or not round else _columns(probes.guard),
    }
    arrays = {name: np.ascontiguousarray(one, np.float32) for name, one in tensors.items()}
    # One key: the library writes several in an unstable order.
    return bytes(save(arrays, metadata={KEY: json.dumps(about, sort_keys=True)}))


def read_shared_probe(path: Path) -> tuple[Probes, dict[str, Any]]:
    """Read such a file.

    Returns:
        The probe, as round 1 (zero-shot: as round 0), and its provenance.

    Raises:
        LpclipError: no such file, another kind of file, of a later version, or parts that do not
            fit together.
    """
    about, tensors = _read(path)
    version = about.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise LpclipError(
            f"{path} has layout {version}; this lpclip reads layouts up to {VERSION}. "
            "A newer lpclip reads it."
        )
    try:
        names, seed = about["class_names"], int(about["seed"])
        rounds = _table(about["rounds"])
        rounds["round"] = (rounds["round"] > 0).astype(rounds["round"].dtype)
        probes = Probes(
            weight=tensors["weight"],
            bias=tensors["bias"],
            scale=float(about["scale"]),
            class_names=tuple(map(str, names)),
            seeds=(seed,),
            rounds=rounds,
            guard=None if about["guard"] is None else _table(about["guard"]),
            n_labels=int(about["n_labels"]),
            strong_policy=str(about["strong_policy"]),
            student_view=str(about["student_view"]),
            member_weight=tensors.get("member_weight"),
            member_bias=tensors.get("member_bias"),
        )
        provenance = dict(about["provenance"])
    except (KeyError, TypeError, ValueError) as error:
        raise LpclipError(f"{path} is damaged: {error}.") from error
    _check(path, probes)
    return probes, provenance


def _read(path: Path) -> tuple[dict[str, Any], dict[str, FloatArray]]:
    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(KEY, "")
            tensors = {name: file.get_tensor(name) for name in _TENSORS if name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise LpclipError(f"{path} is no probe that lpclip shared: {error}.") from error
    about = parse_json(text) if text else None
    if not isinstance(about, dict):
        raise LpclipError(f"{path} is no probe that lpclip shared: it does not say what it is.")
    return about, tensors


def _check(path: Path, probes: Probes) -> None:
    """Refuse arrays whose shapes do not fit."""
    shape = probes.weight.shape
    fits = len(shape) == 4 and shape[:1] + shape[1:2] in ((1, 1), (2, 1))
    fits = fits and shape[2] == len(probes.class_names) and probes.bias.shape == shape[:3]
    members, biases = probes.member_weight, probes.member_bias
    if (members is None) != (biases is None):
        fits = False
    elif members is not None and biases is not None:
        fits = fits and members.ndim == 4 and members.shape[2:] == shape[2:]
        fits = fits and biases.shape == members.shape[:3]
    arrays = [one for one in (probes.weight, probes.bias, members, biases) if one is not None]
    if not fits or not all(np.isfinite(one).all() for one in arrays):
        raise LpclipError(f"{path} is damaged: its arrays do not fit together or are not finite.")


def _columns(table: pd.DataFrame) -> dict[str, Any]:
    return {
        str(name): {"dtype": str(values.dtype), "values": values.tolist()}
        for name, values in table.items()
    }


def _table(columns: Mapping[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(
        {name: pd.Series(one["values"], dtype=one["dtype"]) for name, one in columns.items()}
    )
