"""The section of what was run: stages, time, models, versions, configuration, skipped images."""

from collections.abc import Mapping, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from lpclip.reporting.page.tables import Tables
from lpclip.storage.hdf5 import read_provenance
from lpclip.storage.made_from import hash_in
from lpclip.utils.host import commit_of, kind_of_host
from lpclip.utils.printing import duration

# In the order of the workflow; the page itself is not yet timed.
_STAGES = (
    "index_samples", "count_samples", "embed_text", "copy_text", "embed_images", "copy_features",
    "pseudo_labels", "describe_pool", "train_probe", "estimate_gains", "evaluate",
    "evaluate_features", "evaluate_ood", "evaluate_held_out", "evaluate_rounds",
    "evaluate_samples", "report", "predictions", "pictures", "thumbnails", "layout",
    "explorer",
)  # fmt: skip
_SKIPPED_SHOWN = 50
_SLOWEST = 3
_PACKAGES = ("lpclip", "numpy", "scikit-learn", "pandas", "h5py", "snakemake")


def section(
    *,
    probes: Sequence[Path],
    tables: Tables,
    logs: Path | None,
    configuration: Mapping[str, Any],
    memory: bool,
    report: Path | None = None,
) -> dict[str, Any]:
    """Return everything that the section shows.

    Args:
        probes: of every method; their provenance names models, weights and versions.
        tables: the reports; of ``skipped`` the rows are listed.
        logs: folder of logs, with a folder per stage and benchmark files (``*.tsv``) in it; the
            only part of the page that differs from run to run.
        configuration: as it was run.
        memory: whether the benchmark files hold memory.
        report: ``report.csv``; what it was made from identifies the results.
    """
    found = [read_provenance(path, kind="probes") for path in probes]
    skipped = tables["skipped"]
    durations = [] if logs is None else _durations(logs, memory=memory)
    return {
        "id": "" if report is None else hash_in(report),
        "about": "" if logs is None else _about(),
        "spent": _spent(durations),
        "durations": durations,
        "models": _models(found),
        "versions": _versions(found),
        "configuration": yaml.safe_dump(
            dict(configuration), sort_keys=False, allow_unicode=True, width=100
        )
        if configuration
        else "",
        "skipped": [list(row) for row in skipped.head(_SKIPPED_SHOWN).to_numpy(str)],
        "skipped_columns": list(skipped.columns),
        "n_skipped": f"{len(skipped):,}",
    }


def _about() -> str:
    """Return when and where the page was made, in words."""
    commit = commit_of(Path())
    place = f" at commit {commit}" if commit else ""
    return f"{date.today().isoformat()}{place}, on {kind_of_host()}"


def _spent(durations: Sequence[Mapping[str, Any]]) -> str:
    """Return the time of all jobs and the stages that took most of it, in words."""
    total = sum(row["total"] for row in durations)
    if total < 1:
        return ""
    slowest = sorted(durations, key=lambda row: -row["total"])[:_SLOWEST]
    shares = ", ".join(f"{row['stage']} {row['total'] / total:.0%}" for row in slowest)
    return f"All jobs together took {duration(total)}; most of it {shares}."


def _durations(logs: Path, *, memory: bool) -> list[dict[str, Any]]:
    """Return one row per stage that left benchmark files, in the order of the workflow."""
    rows = []
    for stage in _STAGES:
        files = sorted([*(logs / stage).glob("**/*.tsv"), *logs.glob(f"{stage}.tsv")])
        jobs = [_numbers(path) for path in files]
        seconds = [job["s"] for job in jobs if "s" in job]
        peaks = [job["max_rss"] for job in jobs if memory and "max_rss" in job]
        if seconds:
            rows.append(
                {
                    "stage": stage,
                    "jobs": len(seconds),
                    "total": sum(seconds),
                    "seconds": f"{sum(seconds):,.0f}",
                    "longest": f"{max(seconds):,.0f}",
                    "memory": f"{max(peaks):,.0f}" if peaks else "",
                }
            )
    return rows


def _numbers(path: Path) -> dict[str, float]:
    """Return the first row of a benchmark file; "-" and "NA" mean that nothing was measured."""
    try:
        table = pd.read_csv(path, sep="\t", nrows=1)
    except (OSError, ValueError):
        return {}
    if table.empty:
        return {}
    found = pd.to_numeric(table.iloc[0], errors="coerce").dropna()
    return {str(key): float(value) for key, value in found.items()}


def _models(found: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    keys = ("model", "architecture", "pretrained", "weights")
    rows = [{key: str(one.get(key, "")) for key in keys} for one in found]
    return list({row["model"]: row for row in rows}.values())


def _versions(found: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return the versions that the features were made with, then those of this environment."""
    named = {
        f"{name} (features)": str(one[name])
        for one in found
        for name in ("torch", "open_clip")
        if one.get(name)
    }
    return [*((name, version(name)) for name in _PACKAGES), *named.items()]
