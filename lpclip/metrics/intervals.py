"""The 95 % interval of a proportion, from the number of successes."""

from math import sqrt

Z_95 = 1.959963984540054  # 97.5 % quantile of the standard normal distribution


def wilson_interval(successes: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % score interval of a proportion, without continuity correction.

    Centre (k + z^2/2) / (n + z^2), half width z / (n + z^2) * sqrt(k (n - k) / n + z^2 / 4)
    (Wilson 1927). Neither has to be whole: an average may count as 12.5 samples.

    Returns:
        (low, high), fractions in [0, 1]; (nan, nan) for n = 0.

    Raises:
        ValueError: successes lie outside 0..n.

    >>> low, high = wilson_interval(9, 10)
    >>> round(low, 4), round(high, 4)
    (0.5958, 0.9821)
    """
    if not 0 <= successes <= n:
        raise ValueError(f"expected between 0 and {n} successes, got {successes}")
    if n == 0:
        return float("nan"), float("nan")
    z2 = Z_95**2
    centre = (successes + z2 / 2) / (n + z2)
    half = Z_95 / (n + z2) * sqrt(successes * (n - successes) / n + z2 / 4)
    # Rounding must not push the ends that are known exactly.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return low, high
