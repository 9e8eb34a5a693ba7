"""The columns of every table that lpclip writes: one module per stage that writes tables.

Writers, readers, `lpclip compare`, the page and docs/columns.md all follow them. A stage imports
the module of its own tables alone, so that a new column re-runs that stage and the report.
"""
