"""What a column and a table are, and columns that many tables share.

Descriptions, units and captions are given as keywords: the hash of the code leaves these out, so
that editing one re-runs nothing.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

FRACTION = "fraction"

# "integer" and "count" are whole numbers; a count may be missing, and so may a number.
Type = Literal["text", "integer", "count", "number"]
Better = Literal["higher", "lower", "none"]


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        name: as in the header; ``{…}`` stands for any text, so that one column states a family.
        type: of its cells.
        unit: of a number; "" for counts and what has none.
        better: which values are better where methods are compared.
        caption: title of an axis, a panel or a column of the page.
        description: sentences for docs/columns.md.
    """

    name: str
    type: Type = "number"
    better: Better = "none"
    unit: str = ""
    caption: str = ""
    description: str = ""

    def matches(self, name: str) -> bool:
        """Return whether this is the column of that name, or its family."""
        pattern = re.sub(r"\\{.+?\\}", ".+", re.escape(self.name))
        return re.fullmatch(pattern, name) is not None


def fraction(
    name: str, better: Better = "none", *, caption: str = "", description: str = ""
) -> Column:
    """Return a column of fractions, which people read as per cent."""
    return Column(name, "number", better, FRACTION, caption, description)


@dataclass(frozen=True)
class Table:
    """A table of results.

    Attributes:
        name: of the file, without its ending.
        row: what one row is.
        keys: columns that identify a row.
        columns: in the order of the file.
        older: columns of files of earlier versions, which are still read.
        varied: families of columns that depend on the configuration; of numbers or text.
        description: sentences for docs/columns.md.
    """

    name: str
    row: str
    keys: tuple[str, ...]
    columns: tuple[Column, ...]
    older: tuple[Column, ...] = ()
    varied: tuple[Column, ...] = ()
    description: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns in their order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column | None:
        """Return the column of a name, of this or an earlier version; None where there is none."""
        known = (*self.columns, *self.older)
        exact = (column for column in known if column.name == name)
        families = (column for column in known if column.matches(name))
        # Of several families the closest: what ends in _std is a standard deviation.
        return next(exact, None) or max(families, key=lambda f: len(f.name), default=None)

    def __getitem__(self, name: str) -> Column:
        """Return the column of that name; KeyError where there is none."""
        found = self.column(name)
        if found is None:
            raise KeyError(f"{self.name} has no column {name}")
        return found


def with_std(columns: Iterable[Column]) -> tuple[Column, ...]:
    """Return each column, a mean over seeds, followed by its standard deviation."""
    std = Column("", description="Sample standard deviation over seeds; empty for one seed.")
    return tuple(
        found
        for mean in columns
        for found in (mean, replace(std, name=f"{mean.name}_std", unit=mean.unit))
    )


def with_interval(columns: Iterable[Column]) -> tuple[Column, ...]:
    """Return each column and the ends of its 95 % interval."""
    low = Column("_low", description="Lower end of its 95 % interval.")
    high = Column("_high", description="Upper end of its 95 % interval.")
    return tuple(
        found
        for column in columns
        for found in (
            column,
            *(replace(end, name=column.name + end.name, unit=column.unit) for end in (low, high)),
        )
    )


def renamed(column: Column, name: str, *, caption: str = "", description: str) -> Column:
    """Return the column of the same figure measured on something else."""
    return replace(column, name=name, caption=caption, description=description)


METHOD = (
    Column("model", "text", description="Name of the model in the configuration."),
    Column("benchmark", "text", description="Name of the benchmark in the configuration."),
    Column("method", "text", description="Name of the method in the configuration."),
)
METHOD_NAMES = tuple(column.name for column in METHOD)
SEED = Column("seed", "integer", description="Seed of the experiment.")
N_SEEDS = Column("n_seeds", "integer", description="Seeds that the means are taken over.")
EXPERIMENT = (*METHOD, SEED)
EXPERIMENT_NAMES = (*METHOD_NAMES, "seed")

DATASET = Column("dataset", "text", description="Dataset that was evaluated.")
FAMILY = Column(
    "family",
    "text",
    description="Family of the corruption (noise, blur, weather, digital), clean, natural, or "
    "mean for the mean over corruptions.",
)
SOURCE = Column(
    "source",
    "text",
    description="Corruptions made by lpclip (generated) or read from published files (official); "
    "else clean or natural.",
)
# How the name of a benchmark ends whose unlabelled images are its test images.
TRANSDUCTIVE = "_transductive"


def is_transductive(benchmark: str) -> bool:
    """Return whether the unlabelled images of a benchmark are its test images, by its name."""
    return benchmark.endswith(TRANSDUCTIVE)


# Name, as a shift, of the mean over the 15 standard corruptions x 5 severities.
STANDARD_MEAN = "standard_corruptions"
