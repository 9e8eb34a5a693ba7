"""Columns of guard.csv."""

from lpclip.columns.table import METHOD, METHOD_NAMES, Column, Table, fraction

GUARD = Table(
    "guard",
    row="one row per guarded method and strength",
    keys=(*METHOD_NAMES, "strength"),
    columns=(
        *METHOD,
        Column("decision", "text", description="Shipped, for all seeds: adapted or zero_shot."),
        fraction("chosen_strength", description="How far from zero-shot, 0, to the adapted head, "
                 "1, the shipped head is."),
        fraction("strength", description="How far from zero-shot the head is whose gain is "
                 "estimated in this row."),
        fraction("estimated_gain", "higher", description="Estimated gain in accuracy."),
        fraction("gaussian", description="Agreement of the adapted head with Gaussian classes that "
                 "were fitted to zero-shot's predictions for other samples, minus zero-shot's "
                 "agreement with them."),
        fraction("halves", description="Agreement of heads trained on the halves of the set with "
                 "each other, minus their agreement with zero-shot on the half that they did not "
                 "learn from."),
        fraction("agreement", description="Share of neighbours for which the adapted head predicts "
                 "the same class."),
        fraction("change", description="Share of the unlabelled set for which the adapted head and "
                 "zero-shot differ."),
        fraction("neighbours", description="Where the adapted head and zero-shot differ, votes of "
                 "zero-shot's predictions for neighbours for the head, minus those for zero-shot."),
        fraction("views", description="Agreement of the versions of the weak view with their mean, "
                 "minus zero-shot's."),
        fraction("balance", description="Entropy of the predicted classes (1 for equally many), "
                 "minus zero-shot's."),
    ),
    description="What a head that far from zero-shot is estimated to gain, and the evidence, mean "
    "over seeds, without a label.",
)  # fmt: skip
