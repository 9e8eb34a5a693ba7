"""Columns of comparisons.csv, reliability.csv and the tables of predictions.h5."""

from lpclip.columns.table import (
    DATASET,
    EXPERIMENT,
    EXPERIMENT_NAMES,
    FAMILY,
    METHOD,
    METHOD_NAMES,
    N_SEEDS,
    SOURCE,
    Column,
    Table,
    fraction,
    with_interval,
)

COMPARISONS = Table(
    "comparisons",
    row="one row per method, shift and severity: the difference to zero-shot",
    keys=(*METHOD_NAMES, "shift", "source", "severity"),
    columns=(
        *METHOD,
        N_SEEDS,
        DATASET,
        Column("shift", "text", description="Corruption or natural shift; clean; or "
               "standard_corruptions, the mean over the 15 standard corruptions x 5 severities."),
        FAMILY,
        SOURCE,
        Column("severity", "count", description="Severity of the corruption, 0 for none; empty for "
               "the mean."),
        Column("n", "integer", description="Images."),
        *with_interval([
            fraction("difference", "higher", description="Accuracy minus that of the zero-shot "
                     "head of the same model, on the same images. Its interval is that of Bonett "
                     "and Price for paired proportions; an image counts once, with the mean over "
                     "its seeds and corruptions. It is 0 to 0 only where the method's head is the "
                     "zero-shot head, or a multiple of it (intervals.md)."),
        ]),
        Column("only_method", unit="images", description="Images that the method classifies "
               "correctly and zero-shot does not; mean over seeds (and corruptions)."),
        Column("only_zero_shot", unit="images", description="Images that zero-shot classifies "
               "correctly and the method does not; mean likewise."),
    ),
    description="The method against zero-shot on the same images.",
)  # fmt: skip

RELIABILITY = Table(
    "reliability",
    row="one row per experiment, shift, severity and bin of confidence",
    keys=(*EXPERIMENT_NAMES, "shift", "source", "severity", "bin"),
    columns=(
        *EXPERIMENT,
        Column("shift", "text", description="clean; standard_corruptions, all 15 pooled; or a "
               "natural shift."),
        SOURCE,
        Column("severity", "integer", description="Severity of the corruptions, 0 for none."),
        Column("bin", "integer", description="One of 15 equally wide bins, those of the "
               "calibration error, from 0."),
        fraction("low", description="Confidence above which the bin begins."),
        fraction("high", description="Highest confidence in the bin."),
        Column("n", "integer", description="Images in the bin."),
        fraction("confidence", description="Their mean confidence."),
        fraction("accuracy", "higher", description="Share of them that is classified correctly."),
    ),
    description="Bins without an image have no row.",
)  # fmt: skip

PREDICTIONS = Table(
    "predictions",
    row="one row per clean test image, in the order of the test set's index",
    keys=("id",),
    columns=(
        Column("id", "text", description="Id of the image in the test set's index."),
        Column("label", "integer", description="Index of the true class; -1 without labels."),
        Column("prediction", "integer", description="Index of the class that is predicted."),
        fraction("confidence", description="Probability of that class."),
    ),
    description="An HDF5 file, predictions.h5, with one table per experiment, named "
    "{model}/{benchmark}/{method}/seed_{seed}; pandas.read_hdf(file, name) opens it. The group of "
    "a method has the attributes class_names (JSON; label and prediction are places in it), "
    "dataset, index (the fingerprint of the test set's index) and weights.",
)
