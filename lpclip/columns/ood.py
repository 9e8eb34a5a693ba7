"""Columns of the tables of out-of-distribution (OOD) detection."""

from lpclip.columns.table import EXPERIMENT, EXPERIMENT_NAMES, Column, Table, fraction

GROUPS = ("near", "far")

AUROC = fraction(
    "auroc", "higher", description="Area under the ROC curve, the same whichever class is positive."
)
FPR95 = fraction(
    "fpr95_id_pos",
    "lower",
    description="False-positive rate at the first threshold with a true-positive rate >= 0.95, "
    "in-distribution images positive (as in MCM).",
)
_SCORE = Column(
    "score",
    "text",
    description="Score; higher is more in-distribution. Those of half_way are of the head "
    "half-way between round 0 and the last round. nearest_neighbours and mahalanobis compare with "
    "the features of the unlabelled adapt set: the distance to the k-th nearest one (k is a "
    "thousandth of them, at least 5), and that to one Gaussian fitted to them all. They use no "
    "head, so they are the same for every method of a benchmark. An image that is in the adapt "
    "set itself is compared with the others.",
)
_METRICS = (
    Column("n_id", "integer", description="In-distribution images, those of the test set. Without "
           "a test set they are those of the adapt set; nearest_neighbours and mahalanobis take "
           "every other one of it as the reference and the rest as in-distribution images. The "
           "other scores take all, which the method has learned from."),
    Column("n_ood", "integer", description="OOD images."),
    AUROC,
    fraction("aupr_in", "higher", description="Average precision, in-distribution positive."),
    fraction("aupr_out", "higher", description="Average precision with OOD images positive."),
    FPR95,
    fraction("fpr95_ood_pos", "lower", description="The same with OOD images positive (OpenOOD)."),
)  # fmt: skip
_SET = (
    Column("dataset", "text", description="OOD set."),
    Column("group", "text", description="Whether it is near to the benchmark or far from it."),
)

OOD = Table(
    "ood",
    row="one row per experiment, OOD set and score",
    keys=(*EXPERIMENT_NAMES, "group", "dataset", "score"),
    columns=(
        *EXPERIMENT,
        *_SET,
        _SCORE,
        Column("temperature", description="Temperature of the score, where it has one; scores at "
               "different ones are not comparable."),
        *_METRICS,
    ),
)  # fmt: skip

OOD_OF_FEATURES = Table(
    "ood_of_features", row="one row per score", keys=("score",), columns=(_SCORE, *_METRICS)
)

_BIN = (
    Column("score", "text", description="Score; higher is more in-distribution."),
    Column("bin", "integer", description="Bins hold about equally many of all images; from the "
           "lowest scores to the highest."),
    Column("low", description="Lower end of the bin."),
    Column("high", description="Upper end of the bin."),
    Column("n_id", "integer", description="In-distribution images in the bin."),
    Column("n_ood", "integer", description="OOD images in the bin."),
)  # fmt: skip

CURVES_OF_FEATURES = Table(
    "curves_of_features",
    row="one row per score and bin of scores",
    keys=("score", "bin"),
    columns=_BIN,
)

OOD_CURVES = Table(
    "ood_curves",
    row="one row per experiment, OOD set, score and bin of scores",
    keys=(*EXPERIMENT_NAMES, "group", "dataset", "score", "bin"),
    columns=(*EXPERIMENT, *_SET, *_BIN),
    description="How scores are distributed, for ROC curves and histograms.",
)
