"""Columns of ood_held_out.csv."""

from lpclip.columns.table import EXPERIMENT, EXPERIMENT_NAMES, Column, Table, fraction

OOD_HELD_OUT = Table(
    "ood_held_out",
    row="one row per experiment and score: detection of held-out classes",
    keys=(*EXPERIMENT_NAMES, "score"),
    columns=(
        *EXPERIMENT,
        Column("score", "text", description="Score, as in ood.csv."),
        Column("n_groups", "integer", description="Groups of classes held out in turn, at most "
               "10."),
        Column("n_images", "integer", description="Images that were scored, half of the adapt set; "
               "the others are the reference."),
        fraction("auroc", "higher", description="Area under the ROC curve, images of the held-out "
                 "classes against the others; mean over the groups."),
    ),
    description="How well the score separates images of held-out classes from those of the other "
    "classes, on the unlabelled adapt set, by the method's own predictions. No label and no OOD "
    "image is read. The score with the largest mean over seeds, except max_logit and energy, is "
    "the one that the report recommends for the method (method.md).",
)  # fmt: skip
