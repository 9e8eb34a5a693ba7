"""Which images the methods of a benchmark adapt on and predict, in words."""

import pandas as pd

from lpclip.columns.table import is_transductive


def in_words(benchmark: str, rows: pd.DataFrame) -> list[str]:
    """Return sentences for a benchmark; none where every method predicts images that it never saw.

    Args:
        benchmark: its name.
        rows: those of report.csv, as text or typed, of any version.
    """
    sentences = []
    if is_transductive(benchmark):
        sentences.append("Transductive: the unlabelled images are the test images.")
    if "predicts" in rows and (rows["predicts"] == "pool").any():
        names = dict.fromkeys(rows.loc[rows["predicts"] == "pool", "method"])
        sentences.append(
            f"Predictions for the unlabelled images alone, no head: {', '.join(names)}."
        )
    return sentences
