"""Train the probes of one method on cached features."""

import contextlib
import logging
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lpclip.errors import LpclipError
from lpclip.methods.registry import load_method
from lpclip.storage.hdf5 import read_provenance
from lpclip.storage.probes import MODEL, Probes, write_probes
from lpclip.storage.samples import without_labels
from lpclip.storage.text import read_head
from lpclip.types import OutputFile
from lpclip.utils.settings import Seeds, build

log = logging.getLogger(__name__)


def train_probe(
    *,
    text: Path,
    output: OutputFile,
    benchmark: str,
    method: str,
    kind: str,
    seeds: Seeds,
    settings: Mapping[str, Any],
    pseudo_labels: Path | None = None,
    adapt: Path | None = None,
    clean: Path | None = None,
    probes: Path | None = None,
    samples: Path | None = None,
) -> None:
    """Write the probes of every round and seed.

    Args:
        text: text cache; round 0 is made from it.
        output: ``probes.h5``.
        benchmark: name of the benchmark.
        method: name of the method.
        kind: kind of the method, a module of ``lpclip.methods.kinds`` or a plugin.
        seeds: seeds that are trained together.
        settings: settings of the method, see ``Settings`` of its module.
        pseudo_labels: the zero-shot teacher's labels, for kinds that need them.
        adapt: feature cache with weak and strong views, likewise.
        clean: feature cache with the clean view, likewise.
        probes: those of another method, for kinds that are made from one.
        samples: index with the true labels; refused by every kind that is label-free.

    Raises:
        LpclipError: a file that the kind does not read or lacks; caches that do not belong
            together; a kind that reads labels which it does not declare, or whose probes do not
            tell which labels it saw.
    """
    module = load_method(kind)
    options = build(module.Settings, settings, where=f"method '{method}'")
    given = {
        "pseudo_labels": pseudo_labels,
        "adapt": adapt,
        "clean": clean,
        "probes": probes,
        "samples": samples,
    }
    inputs = {name: path for name, path in given.items() if path is not None}
    for name in given:
        if name in inputs and name not in module.NEEDS:
            raise LpclipError(f"A method of kind '{kind}' must not read {name} ({inputs[name]}).")
        if name not in inputs and name in module.NEEDS:
            raise LpclipError(f"A method of kind '{kind}' needs the file {name}.")
    head, provenance = read_head(text)
    sees_labels = "samples" in module.NEEDS
    refused = f"methods of kind '{kind}' see no label, since NEEDS does not name samples."
    with contextlib.nullcontext() if sees_labels else without_labels(refused):
        fitted = module.fit(head, inputs, options, seeds)
    _check_fitted(fitted, kind, sees_labels=sees_labels)
    provenance = {
        **{key: provenance[key] for key in MODEL if key in provenance},
        "benchmark": benchmark,
        "method": method,
        "method_kind": kind,
        "settings": repr(options),
        "torch": version("torch"),
    }
    pool = adapt or clean
    if fitted.pool_probabilities is not None and pool is not None:
        images = read_provenance(pool, kind="features")
        provenance |= {"pool_dataset": images["dataset"], "pool_index": images["index"]}
    write_probes(output, fitted, provenance)
    log.info("trained %d rounds of %d seeds", fitted.n_rounds - 1, len(fitted.seeds))


def _check_fitted(fitted: object, kind: str, *, sees_labels: bool) -> None:
    """Refuse what reports could not show, or not truthfully: a plugin may return anything."""
    if not isinstance(fitted, Probes):
        raise LpclipError(
            f"fit of a method of kind '{kind}' returned {type(fitted).__name__}, not Probes."
        )
    if sees_labels and fitted.labels_seen is None:
        raise LpclipError(
            f"A method of kind '{kind}' reads labels, but labels_seen of its probes does not tell "
            "which."
        )
