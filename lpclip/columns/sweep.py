"""Columns of sweep.csv, and of the estimates that it takes in."""

from dataclasses import replace

from lpclip.columns.report import REPORT
from lpclip.columns.table import METHOD, METHOD_NAMES, N_SEEDS, Column, Table, fraction

_ESTIMATE = (
    fraction("estimated_gain", "higher", description="Gain in accuracy over zero-shot that the "
             "guard's evidence lets expect, without a label; empty where there is no estimate."),
    fraction("gain_low", description="Lower end of an interval that held the true gain in 90 % of "
             "the development cases."),
    fraction("gain_high", description="Upper end."),
    fraction("change", description="Share of the images that are learned for which the point and "
             "zero-shot predict different classes."),
    Column("reason", "text", description="Why the rule without labels does not pick the point; "
           "empty where it may."),
)  # fmt: skip

# One file per model and benchmark.
ESTIMATES = Table(
    "estimates",
    row="one row per model, benchmark and point without labels",
    keys=METHOD_NAMES,
    columns=(*METHOD, *_ESTIMATE),
)

# Figures of report.csv that points are compared by; each has its deviation over seeds.
FIGURES = (
    *("accuracy", "mean_corruption_accuracy", "mce_vs_zero_shot", "ece", "nll"),
    *("corrupted_ece", "near_auroc_recommended", "far_auroc_recommended"),
)

SWEEP = Table(
    "sweep",
    row="one row per model, benchmark and point of a sweep",
    keys=METHOD_NAMES,
    columns=(
        *METHOD,
        Column("sweep", "text", description="The method as the configuration has it; where "
               "only the model is varied, model/method."),
        Column("n_labels", "integer", description="Labels that the point saw, of any set."),
        N_SEEDS,
        *(REPORT[f"{name}{end}"] for name in FIGURES for end in ("", "_std")),
        *_ESTIMATE,
        Column("best_without_labels", "text", description="yes: of its sweep, with this model and "
               "benchmark, the point with the largest estimated gain, if that is sure enough."),
        Column("best_by_test_accuracy", "text", description="yes: of its sweep the point with the "
               "highest clean accuracy; picked by the labels of the test set, which flatters it."),
    ),
    varied=(
        Column("method.{setting}", description="A setting of the method that was varied, for "
               "example method.optimisation.learning_rate; empty for points of other sweeps."),
        Column("labelling.{setting}", description="Likewise, of the method's labelling."),
        Column("model.{setting}", description="Likewise, of the model."),
        Column("base.{setting}", description="What was varied of the method that the method is "
               "made from, for example base.method.rounds."),
    ),
    description="Empty but for its header where the configuration has no sweep (docs/sweeps.md). "
    "After the column sweep comes one column per setting that was varied, named by its path.",
)  # fmt: skip


def is_setting(column: str) -> bool:
    """Return whether a column of sweep.csv holds a setting that was varied.

    >>> is_setting("labelling.threshold"), is_setting("accuracy")
    (True, False)
    """
    return any(one.matches(column) for one in SWEEP.varied)


def sweep_table(settings: tuple[str, ...]) -> Table:
    """Return the table with the columns of these settings."""
    at = SWEEP.names.index("sweep") + 1
    own = tuple(Column(name, "text") for name in settings)
    return replace(SWEEP, columns=(*SWEEP.columns[:at], *own, *SWEEP.columns[at:]), varied=())
