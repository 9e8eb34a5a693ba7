"""Columns of robustness.csv, and the figures of a set of images that other tables condense."""

from lpclip.columns.table import (
    DATASET,
    EXPERIMENT,
    EXPERIMENT_NAMES,
    FAMILY,
    SOURCE,
    Column,
    Table,
    fraction,
    with_interval,
)

ACCURACY = fraction(
    "accuracy", "higher", caption="Accuracy", description="Top-1 accuracy; empty without labels."
)
TOP5_ACCURACY = fraction(
    "top5_accuracy",
    "higher",
    description="Share of images whose label is among the five largest probabilities; empty for "
    "5 classes or fewer.",
)
MEAN_PER_CLASS_ACCURACY = fraction(
    "mean_per_class_accuracy",
    "higher",
    description="Mean over classes of the accuracy on their images.",
)
ECE = fraction(
    "ece",
    "lower",
    caption="Calibration error (ECE)",
    description="Expected calibration error, 15 equal-width bins of the top-1 confidence, L1.",
)
ADAPTIVE_ECE = fraction(
    "adaptive_ece", "lower", description="Calibration error over 15 bins of equally many images."
)
NLL = Column("nll", better="lower", unit="nats", description="Mean negative log-likelihood.")
BRIER = Column(
    "brier",
    better="lower",
    unit="0 to 2",
    description="Mean over images of the squared error summed over classes.",
)
AURC = fraction(
    "aurc",
    "lower",
    description="Area under the risk-coverage curve, images ordered by top-1 confidence.",
)
CONFIDENCE = fraction(
    "confidence",
    description="Mean top-1 confidence; with n the only figure of a test set without labels.",
)
EFFECTIVE_ROBUSTNESS = fraction(
    "effective_robustness",
    "higher",
    description="Accuracy on a shift of ImageNet above that of standard models of the same clean "
    "accuracy on the shift's classes; empty without a published fit.",
)

GROUP = Column(
    "group",
    "text",
    description="clean, natural, standard for the 15 corruptions that all means are over, or extra "
    "for the other four and those of plugins, which are in no mean. The mean accuracy under "
    "corruption in report.csv is that of the rows whose group is standard.",
)

ROBUSTNESS = Table(
    "robustness",
    row="one row per experiment, shift and severity",
    keys=(*EXPERIMENT_NAMES, "shift", "source", "severity", "subset"),
    columns=(
        *EXPERIMENT,
        DATASET,
        Column("shift", "text", description="clean, the name of a corruption, or the dataset of a "
               "natural shift, on which predictions are restricted to the shift's own classes."),
        FAMILY,
        GROUP,
        SOURCE,
        Column("texture", "text", description="What frost lays over images: pictures made by "
               "lpclip with the statistics of the published photographs (procedural) or the user's "
               "photographs (photographs); empty for everything else."),
        Column("severity", "integer", description="Severity of a corruption, 1 to 5; 0 for clean "
               "and natural images."),
        Column("subset", "text", description="In rows on clean images, the natural shift whose "
               "classes images and predictions are restricted to; empty for all classes, and for "
               "all other rows."),
        Column("n", "integer", description="Images evaluated."),
        *with_interval([
            ACCURACY, TOP5_ACCURACY, MEAN_PER_CLASS_ACCURACY, ECE, ADAPTIVE_ECE, NLL, BRIER, AURC,
        ]),
        CONFIDENCE,
        EFFECTIVE_ROBUSTNESS,
    ),
    description="How intervals are computed, and how often they hold the truth, is in "
    "intervals.md; none is empty except for n = 0 and without labels.",
)  # fmt: skip
