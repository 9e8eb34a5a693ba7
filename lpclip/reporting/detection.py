"""Which OOD score the report recommends for a method, from ood_held_out.csv, and that in words."""

from collections.abc import Mapping

import pandas as pd

HOW = (
    "It best separates classes that were held out of the unlabelled images from the others "
    "(ood_held_out.csv). No out-of-distribution image is used for that, and for some other kind "
    "of out-of-distribution image another score may be better."
)

# Never recommended: the head has learned to be unsure of the classes that are held out, and the
# size of its logits shows that most. For zero-shot half_way_max_logit is max_logit.
FLATTERED = ("max_logit", "energy")


def recommended(held_out: pd.DataFrame) -> dict[str, str]:
    """Return method -> the score with the largest AUROC, mean over seeds; of equal ones the first.

    ``FLATTERED`` scores are left out.

    Args:
        held_out: the rows of ood_held_out.csv for one model and benchmark.
    """
    held_out = held_out[~held_out["score"].isin(FLATTERED) & held_out["auroc"].notna()]
    if held_out.empty:
        return {}
    means = held_out.groupby(["method", "score"], sort=False)["auroc"].mean().unstack()
    # In the order of the table, not in alphabetical order.
    means = means.loc[held_out["method"].unique(), held_out["score"].unique()]
    return {str(method): str(score) for method, score in means.idxmax(axis=1).items()}


def in_words(choice: Mapping[str, str]) -> str:
    """Return one sentence: which score to use with which method."""
    methods: dict[str, list[str]] = {}
    for method, score in choice.items():
        methods.setdefault(score, []).append(method)
    if len(methods) == 1:
        return (
            f"To detect out-of-distribution images use {next(iter(methods))}, whatever the method."
        )
    parts = [f"{score} with {', '.join(names)}" for score, names in methods.items()]
    return f"To detect out-of-distribution images use {'; '.join(parts)}."
