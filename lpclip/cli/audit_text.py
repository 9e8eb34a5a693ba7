"""What the labels of an audit show, in words."""

from collections.abc import Sequence

from lpclip.cli.audit import Audit
from lpclip.metrics.audit import (
    LEVEL,
    MOST_LABELS,
    Labelled,
    estimated_gain,
    interval_of_gain,
    labels_to_decide,
    probability_of_so_many,
)


def statement(audit: Audit, found: Labelled, *, level: float = LEVEL) -> str:
    """Return the counts, the gain with its interval, and whether the head is better.

    Better and worse are two-sided statements: the interval of the gain excludes 0.

    Args:
        audit: the list.
        found: what its labels show.
        level: probability of the interval.
    """
    low, high = interval_of_gain(found, level)
    sure = f"{100 * level:.4g} %"
    method = audit.method
    lines = [
        f"{found.n} of the {found.disagreements} images labelled on which {method} and zero-shot "
        f"disagree, of {found.images} in all",
        f"  {method} is right    {found.wins}",
        f"  zero-shot is right  {found.losses}",
        f"  neither             {found.neither}",
        f"gain over zero-shot on the {found.images} images, in points",
    ]
    if found.n:
        one_sided, _ = interval_of_gain(found, 2 * level - 1)
        lines += [
            f"  estimate            {_points(estimated_gain(found))}",
            f"  {f'{sure} interval':20}{_points(low)} to {_points(high)} (two-sided, exact)",
            f"  at least            {_points(one_sided)} with {sure} confidence (one-sided, exact)",
        ]
    else:
        lines += [f"  possible            {_points(low)} to {_points(high)}"]
    return "\n".join([*lines, *_verdict(audit, found, level, (low, high))])


def nothing_to_label(audit: Audit) -> str:
    """Return the sentence for a head that predicts what zero-shot predicts."""
    return (
        f"{audit.method} and zero-shot predict the same class for all {audit.images} images: there "
        "is nothing to label, and on these images neither is better."
    )


def _verdict(
    audit: Audit, found: Labelled, level: float, interval: tuple[float, float]
) -> Sequence[str]:
    if found.n == found.disagreements:
        winner = {1: "better than", -1: "worse than", 0: "as good as"}
        sign = (found.wins > found.losses) - (found.wins < found.losses)
        return [f"{audit.method} is {winner[sign]} zero-shot on these images: all are labelled."]
    swapped = Labelled(found.losses, found.wins, found.neither, found.disagreements, found.images)
    if interval[0] > 0:
        sure = _confidence(probability_of_so_many(found))
        return [f"{audit.method} is better than zero-shot (one-sided confidence {sure})."]
    if interval[1] < 0:
        sure = _confidence(probability_of_so_many(swapped))
        return [
            f"{audit.method} is worse than zero-shot (one-sided confidence {sure}). "
            "Ship zero-shot: round 0 of the probes."
        ]
    if found.n == 0:
        return ["Not decided: there is no label yet."]
    sure = _confidence(probability_of_so_many(found))
    more = labels_to_decide(found, level)
    if more is None:
        most = min(MOST_LABELS, found.disagreements)
        left = f"If the next labels are like these, {most} will not decide it either."
    else:
        left = f"If the next labels are like these, about {more} more will decide it."
    return [f"Not decided (one-sided confidence that {audit.method} is better: {sure}). {left}"]


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _confidence(p: float) -> str:
    """Format 1 - p in per cent, never as 100.

    >>> _confidence(0.0312), _confidence(1e-9)
    ('96.9 %', 'above 99.9 %')
    """
    return "above 99.9 %" if p < 0.001 else f"{100 * (1 - p):.1f} %"
