"""Methods with the same figures: found in the tables, drawn so that each is seen, and named."""

from collections.abc import Mapping, Sequence

import pandas as pd

from lpclip.reporting.methods import Method
from lpclip.reporting.plot_style import Style

_COMPARED = ["accuracy", "ece"]
_DIGITS = 6
# Dashes between which the line of the method below shows.
_DASHES = (0, (3, 3))


def coinciding(robustness: pd.DataFrame, methods: Sequence[Method]) -> dict[str, str]:
    """Return, for every method whose curves are those of an earlier one, that method's name."""
    if robustness.empty or robustness["accuracy"].isna().all():
        return {}
    keys = ["shift", "source", "severity", "subset"]
    means = robustness.groupby(["method", *keys])[_COMPARED].mean().round(_DIGITS)
    first: dict[object, str] = {}
    found = {}
    for method in methods:
        if method.method in means.index:
            own = means.loc[method.method].sort_index()
            curves = tuple(own.index), tuple(own.fillna(-1.0).itertuples(index=False, name=None))
            other = first.setdefault(curves, method.method)
            if other != method.method:
                found[method.method] = other
    return found


def apart(looks: Mapping[str, Style], same: Mapping[str, str]) -> dict[str, Style]:
    """Return looks in which a method that lies on another one's line lets it show."""
    changed = {name: {**looks[name], "linestyle": _DASHES} for name in same}
    return {**looks, **changed}


def in_words(same: Mapping[str, str]) -> list[str]:
    """Return a sentence per method whose curves are those of others."""
    groups: dict[str, list[str]] = {}
    for name, other in same.items():
        groups.setdefault(other, []).append(name)
    return [
        f"{', '.join(names)} and {other} coincide: their curves lie on each other."
        for other, names in groups.items()
    ]
