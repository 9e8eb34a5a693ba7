"""Columns of rounds.csv, per_class.csv and confusion.csv."""

from lpclip.columns.table import EXPERIMENT, EXPERIMENT_NAMES, Column, Table, fraction

ROUNDS = Table(
    "rounds",
    row="one row per experiment and round",
    keys=(*EXPERIMENT_NAMES, "round"),
    columns=(
        *EXPERIMENT,
        Column("round", "integer", description="Round of training; 0 is the zero-shot probe."),
        Column("status", "text", description="ok; collapsed, where the probe of the round was "
               "discarded and that of the round before kept; stopped, where an earlier round "
               "collapsed and this one was not run."),
        fraction("coverage", caption="Coverage: share kept",
                 description="Share of the adapt set that was kept to train on; empty without "
                 "self-training."),
        fraction("pseudo_label_accuracy", "higher", caption="Accuracy of kept pseudo-labels",
                 description="Accuracy of the kept pseudo-labels, computed by the evaluation; "
                 "empty where the adapt set has no labels."),
        fraction("confidence", description="Mean confidence of the kept pseudo-labels."),
        fraction("balance", description="Entropy of the class frequencies of the kept "
                 "pseudo-labels over that of equal frequencies; 1 is even."),
        fraction("agreement", description="Share of the adapt set for which the probe of the round "
                 "and its teacher predict the same."),
        Column("epochs", "count", description="Passes over the views in this round."),
        fraction("test_accuracy", "higher", caption="Test accuracy",
                 description="Top-1 accuracy of the round's probe on the clean test set."),
    ),
)  # fmt: skip

PER_CLASS = Table(
    "per_class",
    row="one row per experiment and class",
    keys=(*EXPERIMENT_NAMES, "class_index"),
    columns=(
        *EXPERIMENT,
        Column("class_index", "integer", description="Place in the benchmark's class names."),
        Column("class_name", "text", description="Name of the class."),
        Column("n", "count", description="Test images of the class; empty without labels."),
        fraction("accuracy", "higher", description="Share of them that is classified correctly."),
        fraction("predicted_share", description="Share of all test images with this prediction."),
    ),
    description="On the clean test set.",
)

CONFUSION = Table(
    "confusion",
    row="one row per experiment, true class and pseudo-label",
    keys=(*EXPERIMENT_NAMES, "class_index", "pseudo_label_index"),
    columns=(
        *EXPERIMENT,
        Column("round", "integer", description="Round that learned these pseudo-labels."),
        Column("class_index", "integer", description="Place in the benchmark's class names."),
        Column("class_name", "text", description="Name of the true class."),
        Column("pseudo_label_index", "integer", description="Place of the pseudo-label's class."),
        Column("pseudo_label_name", "text", description="Its name."),
        Column("n", "integer", description="Samples."),
    ),
    description="Pairs that occur among the samples that the last round learned from.",
)
