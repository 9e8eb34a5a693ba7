"""The model card of a shared probe: what it is, why it was chosen, how good it is, its use."""

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from lpclip.methods.guard_decision import decision_of
from lpclip.models.spec import HUB, is_checkpoint
from lpclip.reporting.read import read_report
from lpclip.storage.probes import Probes
from lpclip.utils.templates import templates

_TEMPLATES = Path(__file__).parents[1] / "templates"
# Families of shifts that have a row each; of corruptions the mean alone.
_SHOWN = ("clean", "mean", "natural")
_REPORTS = ("shifts.csv", "comparisons.csv")


def card(
    *,
    probes: Probes,
    provenance: Mapping[str, Any],
    round: int,
    seed: int,
    results: Path,
    repository: str,
    license: str | None,
) -> str:
    """Return the card, Markdown with the metadata that the hub reads.

    Args:
        probes: all of the method.
        provenance: of their file, as it is shared.
        round: counted from 0, the zero-shot head.
        seed: of the probe.
        results: folder of the run's reports; where they are missing there is no table.
        repository: where the probe is shared.
        license: identifier of the licence; None for none.

    Raises:
        LpclipError: a report that cannot be read.
    """
    from huggingface_hub import ModelCardData

    architecture = str(provenance.get("architecture", ""))
    pretrained = str(provenance.get("pretrained", ""))
    is_last = round == probes.n_rounds - 1
    table = list(_rows(results, provenance)) if is_last else []
    page = (
        templates(_TEMPLATES, html=False)
        .get_template("card.md")
        .render(
            classes=[_code(name) for name in probes.class_names],
            round=round,
            is_last=is_last,
            n_members=0
            if not is_last or probes.member_weight is None
            else probes.member_weight.shape[1],
            encoder=", ".join(f"`{one}`" for one in (architecture, pretrained) if one) or "unknown",
            method=provenance.get("method", ""),
            benchmark=provenance.get("benchmark", ""),
            version=version("lpclip"),
            n_labels=probes.n_labels,
            decision=str(decision_of(probes.guard)) if probes.guard is not None and is_last else "",
            rows=table,
            n_seeds=table[0]["n_seeds"] if table else 0,
            seed=seed,
            repository=repository,
            weights=provenance.get("weights", "unknown"),
            checkpoint=pretrained if is_checkpoint(pretrained) else "",
            dim=probes.weight.shape[-1],
        )
    )
    metadata = ModelCardData(
        library_name="lpclip",
        pipeline_tag="image-classification",
        tags=["clip", "linear-probe", *["label-free"] * (not probes.n_labels)],
        base_model=architecture.removeprefix(HUB) if architecture.startswith(HUB) else None,
        license=license,
    )
    return f"---\n{metadata.to_yaml()}\n---\n\n{page}"


def missing_reports(results: Path) -> list[str]:
    """Return which of the reports that the table comes from are not in a folder."""
    return [name for name in _REPORTS if not (results / name).is_file()]


def _rows(results: Path, provenance: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a row for clean images, the mean over corruptions, and every natural shift."""
    if missing_reports(results):
        return
    shifts, comparisons = (
        _of(read_report(results / name), provenance, "model", "benchmark") for name in _REPORTS
    )
    own = _of(comparisons, provenance, "method")
    keys = ["shift", "source"]
    for _, row in own[own["family"].isin(_SHOWN)].iterrows():
        here = shifts[(shifts[keys] == row[keys]).all(axis=1)].set_index("method")["accuracy"]
        accuracy = here.get(provenance["method"])
        if accuracy is None or pd.isna(accuracy):
            continue
        low, high = row["difference_low"], row["difference_high"]
        interval = "" if pd.isna(low) else f" [{100 * low:+.1f}, {100 * high:+.1f}]"
        name = str(row["shift"]).replace("_", " ")
        yield {
            "shift": name if row["source"] != "official" else f"{name} (published files)",
            "n": f"{int(row['n']):,}",
            "n_seeds": int(row["n_seeds"]),
            # On the very images and classes of the comparison.
            "zero_shot": f"{100 * (accuracy - row['difference']):.1f}",
            "accuracy": f"{100 * accuracy:.1f}",
            "difference": f"{100 * row['difference']:+.1f}{interval}",
        }


def _code(name: str) -> str:
    """Return a class name as a code span, in which Markdown and HTML mean nothing."""
    text = " ".join(name.split())
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}"


def _of(table: pd.DataFrame, provenance: Mapping[str, Any], *keys: str) -> pd.DataFrame:
    for key in keys:
        table = table[table[key] == provenance.get(key)]
    return table
