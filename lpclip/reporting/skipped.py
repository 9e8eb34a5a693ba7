"""Images that could not be read and were left out: a table, and the same in a sentence."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from lpclip.columns.skipped import SKIPPED
from lpclip.storage.reports import read_cells, typed_cells, write_report
from lpclip.storage.samples import read_skipped


def write_skipped_table(indices: Iterable[Path], output: Path) -> None:
    """Write skipped.csv: one row per dataset and image; only a header where nothing was skipped.

    Args:
        indices: of the datasets that leave out images.
        output: the CSV file.
    """
    tables = [pd.DataFrame(columns=list(SKIPPED.names))]
    for path in indices:
        tables.append(read_skipped(path)[list(SKIPPED.names)])
    write_report(pd.concat(tables[1:] or tables, ignore_index=True), output, SKIPPED)


def in_words(skipped_csv: Path) -> list[str]:
    """Return a sentence on how many images of which datasets are missing; none if none is.

    Raises:
        LpclipError: the file is no such table.
    """
    counts = (
        typed_cells(read_cells(skipped_csv), skipped_csv, SKIPPED)
        .groupby("dataset", sort=False)
        .size()
    )
    if not len(counts):
        return []
    each = ", ".join(f"{count:,} of dataset {name}" for name, count in counts.items())
    return [f"Images left out because they cannot be read: {each}. See {skipped_csv}."]
