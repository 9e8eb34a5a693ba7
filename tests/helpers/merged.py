"""Configurations that are given as several files."""


def merged(base, changes):
    """Merge two configurations as Snakemake does."""
    if not (isinstance(base, dict) and isinstance(changes, dict)):
        return changes
    return base | {key: merged(base.get(key), value) for key, value in changes.items()}
