"""The stage ``report``: tables and figures of all methods whose probes it is given."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lpclip.columns.registry import EVALUATED
from lpclip.columns.report import REPORT, SHIFTS
from lpclip.reporting.evaluation_tables import read_parts
from lpclip.reporting.guard import write_guard_table
from lpclip.reporting.methods import Methods, methods_of
from lpclip.reporting.pool import write_pool_tables
from lpclip.reporting.report_table import report_table, shift_table
from lpclip.reporting.skipped import write_skipped_table
from lpclip.reporting.sweep import Points, write_sweep_table
from lpclip.storage.reports import write_report
from lpclip.types import OutputFolder

log = logging.getLogger(__name__)


def report(
    *,
    probes: Sequence[Path],
    robustness: Sequence[Path],
    ood: Sequence[Path],
    rounds: Sequence[Path],
    per_class: Sequence[Path],
    output: OutputFolder,
    comparisons: Sequence[Path] = (),
    reliability: Sequence[Path] = (),
    ood_curves: Sequence[Path] = (),
    ood_held_out: Sequence[Path] = (),
    confusion: Sequence[Path] = (),
    skipped: Sequence[Path] = (),
    pools: Sequence[Path] = (),
    pool_classes: Sequence[Path] = (),
    estimates: Sequence[Path] = (),
    sweeps: Points | None = None,
) -> None:
    """Gather the evaluation into ``report.csv``, the other tables and figures.

    Args:
        probes: the probes of every method, in the order in which reports list them.
        robustness: CSV files of ``lpclip evaluate``.
        ood: CSV files of ``lpclip evaluate-ood``.
        rounds: CSV files of ``lpclip evaluate-rounds``.
        per_class: the same command's CSV files of classes.
        output: folder of the reports.
        comparisons: CSV files of ``lpclip evaluate-samples``.
        reliability: the same command's CSV files of bins of confidence.
        ood_curves: CSV files of ``lpclip evaluate-ood``: how scores are distributed.
        ood_held_out: CSV files of ``lpclip evaluate-held-out``.
        confusion: CSV files of ``lpclip evaluate-rounds``: pseudo-labels against the truth.
        skipped: indices of the datasets that leave out images that cannot be read.
        pools: CSV files of ``lpclip describe-pool``.
        pool_classes: the same command's CSV files of classes.
        estimates: CSV files of ``lpclip estimate-gains``.
        sweeps: points of sweeps: by section (models, methods) and name the entry as it is written
            (sweep) and the settings that were varied (varied).
    """
    methods = methods_of(probes)
    write_reports(
        robustness=robustness,
        ood=ood,
        rounds=rounds,
        per_class=per_class,
        comparisons=comparisons,
        reliability=reliability,
        ood_curves=ood_curves,
        ood_held_out=ood_held_out,
        confusion=confusion,
        methods=methods,
        output=output,
    )
    write_guard_table(probes, output / "guard.csv")
    write_skipped_table(skipped, output / "skipped.csv")
    write_pool_tables(pools, pool_classes, output, order=methods.pairs())
    write_sweep_table(output / "report.csv", estimates, sweeps, output / "sweep.csv", methods)
    log.info("reported %d methods", len(methods.all))


def write_reports(
    *, methods: Methods | Iterable[Mapping[str, Any]], output: Path, **parts: Iterable[Path]
) -> None:
    """Write report.csv, the other tables and two figures; the same results give the same bytes.

    The columns of every file, given and written, are those of `lpclip.columns`. Neither the order
    of the paths nor that of their rows matters.

    Args:
        methods: one mapping per model x benchmark x method, in the order in which reports list
            them: model, benchmark, method, kind ("zero_shot" for the baseline), n_labels,
            student_view and strong_policy ("" where the method has none), imagenet (whether the
            benchmark's classes are ImageNet's), predicts ("images", or "pool" alone).
        output: folder of the reports, made where it is missing.
        parts: CSV files of every table of `EVALUATED`, by its name.

    Raises:
        LpclipError: a file lacks a column, holds a value of the wrong type, repeats a
            result, or a method that is not in `methods`; a method has no results.
    """
    # matplotlib takes longest to import, and the summary does without.
    from lpclip.reporting.figures import rounds_figure, save_figure, severity_figure

    known = methods if isinstance(methods, Methods) else Methods(methods)
    tables = {name: read_parts(EVALUATED[name], paths, known) for name, paths in parts.items()}
    shifts = shift_table(tables["robustness"], known)
    report = report_table(
        shifts, tables["robustness"], tables["ood"], tables["ood_held_out"], known
    )
    write_report(report, output / "report.csv", REPORT)
    write_report(shifts, output / "shifts.csv", SHIFTS)
    for name, rows in tables.items():
        write_report(rows, output / f"{name}.csv", EVALUATED[name])
    figures = output / "figures"
    save_figure(severity_figure(tables["robustness"], known), figures / "severity.png")
    save_figure(rounds_figure(tables["rounds"], known), figures / "rounds.png")
