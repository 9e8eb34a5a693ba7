"""Columns of guard.csv."""

from lpclip.columns.table import METHOD, METHOD_NAMES, Column, Table, fraction

GUARD = Table(
    "guard",
    row="one row per guarded method, candidate and strength",
    keys=(*METHOD_NAMES, "candidate", "strength"),
    columns=(
        *METHOD,
        Column("decision", "text", description="Shipped, for all seeds: adapted or zero_shot."),
        Column("reason", "text", description="Why zero-shot is shipped; - where a candidate is."),
        Column("chosen_candidate", "text", description="The candidate that is shipped, or the one "
               "with the largest estimated gain where zero-shot is."),
        fraction("chosen_strength", description="How far from zero-shot, 0, to the candidate, 1, "
                 "the shipped head is."),
        Column("candidate", "text", description="The candidate of this row."),
        fraction("strength", description="How far from zero-shot the head is whose gain is "
                 "estimated in this row."),
        fraction("estimated_gain", "higher", description="Estimated gain in accuracy."),
        fraction("gain_low", description="Lower end of an interval that held the true gain in 90 % "
                 "of the development cases; genuine features often gain more."),
        fraction("gain_high", description="Upper end."),
        fraction("change", description="Share of the images that are learned for which the head "
                 "and zero-shot predict different classes; the next four are of these images."),
        fraction("neighbours", description="Share of neighbours to which zero-shot gives the class "
                 "of the head."),
        fraction("posterior", description="Mean probability of the head's class for neighbours, "
                 "minus that of zero-shot's class, by text and Gaussian classes."),
        fraction("gaussian", description="Agreement of Gaussian classes, fitted to zero-shot's "
                 "predictions for other images, with the head, minus that with zero-shot."),
        fraction("others", description="Agreement of the other candidates with the head, minus "
                 "that with zero-shot."),
        fraction("zero_shot_agreement", description="Share of neighbours to which zero-shot gives "
                 "the same class."),
        fraction("support", description="Share of the classes that the unlabelled images support."),
        Column("images_per_class", "number", description="Images that are learned per supported "
               "class."),
    ),
    description="What a head that far from zero-shot is estimated to gain, and the evidence, mean "
    "over seeds, without a label.",
)  # fmt: skip
