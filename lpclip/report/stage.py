"""The stage ``report``: which methods there are is read from the files of their probes."""

import logging
from collections.abc import Sequence
from pathlib import Path

from lpclip.report import write_reports
from lpclip.report.guard import write_guard_table
from lpclip.report.parts import methods_of
from lpclip.report.skipped import write_skipped_table
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
) -> None:
    """Gather the evaluation into ``report.csv``, its siblings and figures.

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
    log.info("reported %d methods", len(methods.all))
