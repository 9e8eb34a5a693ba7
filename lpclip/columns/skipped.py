"""Columns of skipped.csv."""

from lpclip.columns.table import Column, Table

SKIPPED = Table(
    "skipped",
    row="one row per dataset and image that was left out",
    keys=("dataset", "id"),
    columns=(
        Column("dataset", "text", description="Name of the dataset in the configuration."),
        Column("id", "text", description="Id that the image would have in the index."),
        Column("path", "text", description="Where the image is."),
        Column("reason", "text", description="Why it cannot be read."),
    ),
    description="Images that could not be read (on_bad_image: skip).",
)
