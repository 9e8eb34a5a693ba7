"""The stage ``report``: which methods there are is read from the files of their probes."""

import logging
from collections.abc import Sequence
from pathlib import Path

from lpclip.report import write_reports
from lpclip.report.guard import write_guard_table
from lpclip.report.parts import methods_of
from lpclip.report.skipped import write_skipped_table

log = logging.getLogger(__name__)


def report(
    *,
    probes: Sequence[Path],
    robustness: Sequence[Path],
    ood: Sequence[Path],
    rounds: Sequence[Path],
    per_class: Sequence[Path],
    output: Path,
    skipped: Sequence[Path] = (),
) -> None:
    """Gather the evaluation into ``report.csv``, its siblings and figures.

    Args:
        probes: the probes of every method, in the order in which reports list them.
        robustness: CSV files of ``lpclip evaluate``.
        ood: CSV files of ``lpclip evaluate-ood``.
        rounds: CSV files of ``lpclip evaluate-rounds``.
        per_class: the same command's CSV files of classes.
        output: folder of the reports.
        skipped: indices of the datasets that leave out images that cannot be read.
    """
    methods = [method._asdict() for method in methods_of(probes).all]
    write_reports(
        robustness=robustness,
        ood=ood,
        rounds=rounds,
        per_class=per_class,
        methods=methods,
        output=output,
    )
    write_guard_table(probes, output / "guard.csv")
    write_skipped_table(skipped, output / "skipped.csv")
    log.info("reported %d methods", len(methods))
