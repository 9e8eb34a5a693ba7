"""Columns of guard.csv."""

from lpclip.columns.table import FRACTION, METHOD, METHOD_NAMES, Column, Table

GUARD = Table(
    "guard",
    "one row per guarded method and strength",
    keys=(*METHOD_NAMES, "strength"),
    columns=(
        *METHOD,
        Column(
            "decision",
            "text",
            description="What the method ships on this benchmark, for all seeds: adapted or "
            "zero_shot.",
        ),
        Column(
            "chosen_strength",
            unit=FRACTION,
            description="How far from zero-shot, 0, to the adapted head, 1, the shipped head is.",
        ),
        Column(
            "strength",
            unit=FRACTION,
            description="How far from zero-shot the head is whose gain is estimated in this row.",
        ),
        Column(
            "estimated_gain",
            better="higher",
            unit=FRACTION,
            description="Estimated gain in accuracy over zero-shot.",
        ),
        Column(
            "gaussian",
            unit=FRACTION,
            description="Agreement of the adapted head with Gaussian classes that were fitted to "
            "zero-shot's predictions for other samples, minus zero-shot's agreement with them.",
        ),
        Column(
            "halves",
            unit=FRACTION,
            description="Agreement of heads trained on the halves of the set with each other, "
            "minus their agreement with zero-shot on the half that they did not learn from.",
        ),
        Column(
            "agreement",
            unit=FRACTION,
            description="Share of neighbours for which the adapted head predicts the same class.",
        ),
        Column(
            "change",
            unit=FRACTION,
            description="Share of the unlabelled set for which the adapted head and zero-shot "
            "differ.",
        ),
        Column(
            "neighbours",
            unit=FRACTION,
            description="Where the adapted head and zero-shot differ, votes of zero-shot's "
            "predictions for neighbours for the head, minus those for zero-shot.",
        ),
        Column(
            "views",
            unit=FRACTION,
            description="Agreement of the versions of the weak view with their mean, minus "
            "zero-shot's.",
        ),
        Column(
            "balance",
            unit=FRACTION,
            description="Entropy of the predicted classes (1 for equally many), minus zero-shot's.",
        ),
    ),
    description="What a head that far from zero-shot is estimated to gain, and the evidence, mean "
    "over seeds, without a label.",
)
