"""Columns of report.csv and shifts.csv."""

from lpclip.columns.ood import AUROC, FPR95, GROUPS
from lpclip.columns.robustness import (
    ACCURACY,
    CONFIDENCE,
    ECE,
    EFFECTIVE_ROBUSTNESS,
    MEAN_PER_CLASS_ACCURACY,
    NLL,
    TOP5_ACCURACY,
)
from lpclip.columns.table import (
    FAMILY,
    METHOD,
    METHOD_NAMES,
    N_SEEDS,
    SOURCE,
    Column,
    Table,
    fraction,
    renamed,
    with_std,
)

_MCE = Column(
    "mce_vs_zero_shot",
    better="lower",
    unit="100 is the baseline",
    caption="mCE vs zero-shot",
    description="Mean corruption error: per corruption, the error summed over severities divided "
    "by that of the zero-shot probe of the same model; the mean over 15 corruptions x 100. Empty "
    "without a zero-shot method.",
)
_RELATIVE_MCE = renamed(
    _MCE,
    "relative_mce_vs_zero_shot",
    caption="relative mCE vs zero-shot",
    description="The same of the error above the clean error. Empty also where the zero-shot "
    "probe loses nothing under one of the corruptions.",
)
_WORST = Column(
    "worst_corruption",
    "text",
    description="Of the 15 corruptions the one with the lowest accuracy, mean over severities and "
    "seeds.",
)
_ACCURACY_LOST = fraction(
    "accuracy_lost_1_to_5",
    "lower",
    caption="lost from severity 1 to 5",
    description="Accuracy at severity 1 minus that at 5, mean over the corruptions.",
)
_WORST_ACCURACY = fraction(
    "worst_corruption_accuracy",
    "higher",
    caption="worst corruption",
    description="Mean accuracy over the severities of the seed's worst corruption.",
)
_VS_ALEXNET = (
    renamed(_MCE, "mce_vs_alexnet", caption="mCE vs AlexNet",
            description="Mean corruption error relative to the published errors of AlexNet; "
            "official corruptions of ImageNet alone."),
    renamed(_MCE, "relative_mce_vs_alexnet", caption="relative mCE vs AlexNet",
            description="The same of the error above the clean error."),
)  # fmt: skip

# Columns of the row of shifts.csv on all 15 corruptions -> what report.csv calls the figures.
OF_ALL_CORRUPTIONS = {
    "worst_corruption": "worst_corruption",
    "accuracy": "mean_corruption_accuracy",
    "worst_corruption_accuracy": "worst_corruption_accuracy",
    "accuracy_lost_1_to_5": "accuracy_lost_1_to_5",
    "mce_vs_zero_shot": "mce_vs_zero_shot",
    "relative_mce_vs_zero_shot": "relative_mce_vs_zero_shot",
    "mce_vs_alexnet": "mce_vs_alexnet",
    "relative_mce_vs_alexnet": "relative_mce_vs_alexnet",
    "ece": "corrupted_ece",
    "nll": "corrupted_nll",
}

SHIFTS = Table(
    "shifts",
    row="one row per model, benchmark, method and shift; means over severities and seeds",
    keys=(*METHOD_NAMES, "shift", "source"),
    columns=(
        *METHOD,
        N_SEEDS,
        Column("shift", "text", description="clean, a corruption, a natural shift, or "
               "standard_corruptions: the mean over the 15 standard corruptions x 5 severities, "
               "which has a row where every method of the benchmark has them all."),
        FAMILY,
        SOURCE,
        Column("n_severities", "integer", description="Severities that the means are taken over; 0 "
               "for clean and natural images."),
        *with_std([ACCURACY, TOP5_ACCURACY, MEAN_PER_CLASS_ACCURACY, ECE, NLL, CONFIDENCE]),
        _WORST,
        *with_std([_WORST_ACCURACY, _ACCURACY_LOST, _MCE, _RELATIVE_MCE, *_VS_ALEXNET]),
        *with_std([EFFECTIVE_ROBUSTNESS]),
    ),
    description="What robustness.csv holds, condensed. The figures of all corruptions together "
    "(worst_corruption to relative_mce_vs_alexnet) are in the rows of standard_corruptions.",
)  # fmt: skip

_CORRUPTED = (
    renamed(ACCURACY, "mean_corruption_accuracy", caption="mean accuracy",
            description="Mean accuracy over 15 corruptions x 5 severities; empty where one is "
            "missing."),
    _MCE,
    renamed(ECE, "corrupted_ece", description="Mean calibration error over the same."),
    renamed(NLL, "corrupted_nll", description="Mean negative log-likelihood over the same."),
)  # fmt: skip
# Moved to shifts.csv.
_CORRUPTED_ONCE = (_WORST_ACCURACY, _ACCURACY_LOST, _RELATIVE_MCE, *_VS_ALEXNET)
# Figures on corruptions that lpclip generates; frost of photographs is another one.
ON_GENERATED = tuple(column.name for column in (*_CORRUPTED, *_CORRUPTED_ONCE))


def _detection(score: str) -> tuple[Column, ...]:
    return tuple(
        renamed(
            metric,
            f"{group}_{metric.name}_{score}",
            description="As in ood.csv, by the score that the name ends with; mean over the near "
            "or the far OOD sets.",
        )
        for metric in (AUROC, FPR95)
        for group in GROUPS
    )


REPORT = Table(
    "report",
    row="one row per model, benchmark and method; means over seeds",
    keys=METHOD_NAMES,
    columns=(
        *METHOD,
        Column("n_labels", "integer", description="Labels that the method saw, of any set."),
        N_SEEDS,
        Column("predicts", "text", description="What the method predicts: images of any set with a "
               "head (images), or only the unlabelled images that it adapts on (pool)."),
        Column("student_view", "text", description="Views of unlabelled samples that the method "
               "trains on (both: weak and strong ones); empty where it has none."),
        Column("strong_policy", "text", description="Policy of the strong views that the method "
               "trains on; empty where it has none."),
        Column("frost_texture", "text", description="What generated frost lays over images: "
               "pictures made by lpclip with the statistics of the published photographs "
               "(procedural), or the user's photographs."),
        *with_std([
            renamed(ACCURACY, ACCURACY.name, description="Top-1 accuracy on clean images."),
            *_CORRUPTED[:2],
            renamed(ECE, ECE.name, description="Expected calibration error on clean images."),
            renamed(NLL, NLL.name, description="Mean negative log-likelihood on clean images."),
            *_CORRUPTED[2:],
            *_detection("max_logit"),
        ]),
        Column("recommended_score", "text", description="The OOD score that the report recommends "
               "for the method, by ood_held_out.csv; empty where none can be."),
        *with_std(_detection("recommended")),
    ),
    older=(
        _WORST,
        renamed(_WORST, "official_worst_corruption", description=""),
        *with_std([
            TOP5_ACCURACY, MEAN_PER_CLASS_ACCURACY, CONFIDENCE, *_CORRUPTED_ONCE,
            *(renamed(column, f"official_{column.name}", description="")
              for column in (*_CORRUPTED, *_CORRUPTED_ONCE)),
            renamed(EFFECTIVE_ROBUSTNESS, "effective_robustness_{shift}", description=""),
            *_detection("{score}"),
        ]),
    ),
    description="What methods are compared by; all else per method is in shifts.csv and ood.csv. "
    "Corrupted figures are on generated corruptions; those on published files are in shifts.csv.",
)  # fmt: skip
