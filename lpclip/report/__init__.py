"""Reports: from the evaluation's CSV files to the tables and figures that people read."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lpclip.report.markdown import markdown
from lpclip.report.parts import Methods, read_parts
from lpclip.report.summary import summary
from lpclip.report.tables import report_table, write_table

__all__ = ["markdown", "summary", "write_reports"]


def write_reports(
    *,
    robustness: Iterable[Path],
    ood: Iterable[Path],
    rounds: Iterable[Path],
    per_class: Iterable[Path],
    methods: Methods | Iterable[Mapping[str, Any]],
    output: Path,
    comparisons: Iterable[Path] = (),
    reliability: Iterable[Path] = (),
    ood_curves: Iterable[Path] = (),
    ood_held_out: Iterable[Path] = (),
    confusion: Iterable[Path] = (),
) -> None:
    """Write report.csv, its siblings and two figures; the same results give the same bytes.

    The columns of every file, given and written, are those of `lpclip.report.parts.COLUMNS` and
    `lpclip.report.tables.report_table`. Neither the order of the paths nor that of their rows
    matters.

    Args:
        robustness: CSV files of accuracy and calibration per shift and severity.
        ood: CSV files of out-of-distribution detection per dataset and score.
        rounds: CSV files of what each round of training kept and reached.
        per_class: CSV files of accuracy per class.
        methods: one mapping per model x benchmark x method, in the order in which reports list
            them: model, benchmark, method, kind ("zero_shot" for the baseline), n_labels,
            student_view and strong_policy ("" where the method has none), imagenet (whether the
            benchmark's classes are ImageNet's).
        output: folder of the reports, made where it is missing.
        comparisons: CSV files of paired differences to zero-shot.
        reliability: CSV files of accuracy per bin of confidence.
        ood_curves: CSV files of the distribution of out-of-distribution scores.
        ood_held_out: CSV files of the detection of held-out classes.
        confusion: CSV files of pseudo-labels against the truth.

    Raises:
        LpclipError: a file lacks a column, holds a value of the wrong type, results given
            already, or a method that is not in `methods`; a method has no results.
    """
    # matplotlib takes longest to import, and the summary does without.
    from lpclip.report.figures import rounds_figure, save_figure, severity_figure

    known = methods if isinstance(methods, Methods) else Methods(methods)
    paths = {
        "robustness": robustness,
        "ood": ood,
        "rounds": rounds,
        "per_class": per_class,
        "comparisons": comparisons,
        "reliability": reliability,
        "ood_curves": ood_curves,
        "ood_held_out": ood_held_out,
        "confusion": confusion,
    }
    tables = {kind: read_parts(kind, files, known) for kind, files in paths.items()}
    write_table(report_table(tables["robustness"], tables["ood"], known), output / "report.csv")
    for kind, table in tables.items():
        write_table(table, output / f"{kind}.csv")
    figures = output / "figures"
    save_figure(severity_figure(tables["robustness"], known), figures / "severity.png")
    save_figure(rounds_figure(tables["rounds"], known), figures / "rounds.png")
