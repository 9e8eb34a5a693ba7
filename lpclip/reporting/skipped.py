"""Images that could not be read and were left out: a table, and the same in a sentence."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from lpclip.errors import LpclipError
from lpclip.reporting import read
from lpclip.reporting.report_table import write_table
from lpclip.storage.samples import read_skipped


def write_skipped_table(indices: Iterable[Path], output: Path) -> None:
    """Write skipped.csv: one row per dataset and image; only a header where nothing was skipped.

    Args:
        indices: of the datasets that leave out images.
        output: the CSV file.
    """
    tables = [pd.DataFrame(columns=list(read.SKIPPED))]
    for path in indices:
        tables.append(read_skipped(path)[list(read.SKIPPED)])
    write_table(pd.concat(tables[1:] or tables), output)


def in_words(skipped_csv: Path) -> list[str]:
    """A sentence that says how many images of which datasets are missing; none if none is.

    Raises:
        LpclipError: the file is no such table.
    """
    table = read.read_cells(skipped_csv)
    if missing := [name for name in read.SKIPPED if name not in table]:
        raise LpclipError(f"{skipped_csv}: it lacks {', '.join(missing)}.")
    counts = table.groupby("dataset", sort=False).size()
    if not len(counts):
        return []
    each = ", ".join(f"{count:,} of dataset {name}" for name, count in counts.items())
    return [f"Images left out because they cannot be read: {each}. See {skipped_csv}."]
