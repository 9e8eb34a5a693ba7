"""All tables by name, for readers that do not know what they will find."""

from collections.abc import Mapping

from lpclip.columns.guard import GUARD
from lpclip.columns.held_out import OOD_HELD_OUT
from lpclip.columns.ood import OOD, OOD_CURVES
from lpclip.columns.paired import COMPARISONS, PREDICTIONS, RELIABILITY
from lpclip.columns.pool import POOL, POOL_CLASSES
from lpclip.columns.report import REPORT, SHIFTS
from lpclip.columns.robustness import ROBUSTNESS
from lpclip.columns.rounds import CONFUSION, PER_CLASS, ROUNDS
from lpclip.columns.skipped import SKIPPED
from lpclip.columns.sweep import SWEEP
from lpclip.columns.table import Table

# Gathered from one file per experiment.
EVALUATED: Mapping[str, Table] = {
    table.name: table
    for table in (
        ROBUSTNESS, OOD, ROUNDS, PER_CLASS, COMPARISONS, RELIABILITY, OOD_CURVES, OOD_HELD_OUT,
        CONFUSION,
    )
}  # fmt: skip
# All CSV files in results/.
TABLES: Mapping[str, Table] = {
    "report": REPORT, "shifts": SHIFTS, **EVALUATED, "guard": GUARD, "skipped": SKIPPED,
    "pool": POOL, "pool_classes": POOL_CLASSES, "sweep": SWEEP,
}  # fmt: skip
DOCUMENTED: Mapping[str, Table] = {**TABLES, "predictions": PREDICTIONS}
