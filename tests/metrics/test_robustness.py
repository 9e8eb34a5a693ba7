"""Summaries over corruptions: equal weights, baselines by name, published figures."""

import math

import numpy as np
import pytest

from lpclip import corruptions
from lpclip.metrics import (
    ALEXNET_CLEAN_ERROR,
    ALEXNET_ERRORS,
    EXTRA_CORRUPTIONS,
    STANDARD_CORRUPTIONS,
    mce,
    mean_corruption_accuracy,
    relative_mce,
)

# Corruption errors of ResNet-50 relative to AlexNet's, in per cent, rounded to whole numbers
# (Hendrycks & Dietterich 2019, table 1); its published mCE is 76.7.
RESNET50_CE = dict(
    zip(
        STANDARD_CORRUPTIONS,
        [80, 82, 83, 75, 89, 78, 80, 78, 75, 66, 57, 71, 85, 77, 77],
        strict=True,
    )
)


def random_errors(seed, names=STANDARD_CORRUPTIONS):
    random = np.random.default_rng(seed)
    return {name: random.uniform(0.1, 0.9, 5).tolist() for name in names}


def test_there_are_15_standard_corruptions_and_4_that_never_count():
    assert len(STANDARD_CORRUPTIONS) == 15
    assert set(STANDARD_CORRUPTIONS).isdisjoint(EXTRA_CORRUPTIONS)
    assert set(STANDARD_CORRUPTIONS) | set(EXTRA_CORRUPTIONS) == set(ALEXNET_ERRORS)
    errors, baseline = random_errors(0), random_errors(1)
    with_extra = errors | random_errors(2, EXTRA_CORRUPTIONS)
    assert mce(with_extra, baseline) == mce(errors, baseline)
    assert mean_corruption_accuracy(with_extra) == mean_corruption_accuracy(errors)


def test_the_corruptions_that_are_generated_are_those_that_are_averaged():
    assert set(corruptions.STANDARD) == set(STANDARD_CORRUPTIONS)
    assert set(corruptions.EXTRA) == set(EXTRA_CORRUPTIONS)


def test_mean_corruption_accuracy_weighs_all_75_cells_alike():
    accuracies = random_errors(0)
    expected = np.concatenate([accuracies[name] for name in STANDARD_CORRUPTIONS]).mean()
    assert mean_corruption_accuracy(accuracies) == pytest.approx(expected, abs=1e-12)


def test_alexnet_against_itself_is_100():
    errors = {name: [error] * 5 for name, error in ALEXNET_ERRORS.items()}
    assert mce(errors, ALEXNET_ERRORS) == pytest.approx(100, abs=1e-9)
    relative = relative_mce(
        errors,
        ALEXNET_ERRORS,
        clean_error=ALEXNET_CLEAN_ERROR,
        baseline_clean_error=ALEXNET_CLEAN_ERROR,
    )
    assert relative == pytest.approx(100, abs=1e-9)


def test_resnet50_has_its_published_mce_and_not_its_mean_error():
    errors = {name: [ce / 100 * ALEXNET_ERRORS[name]] * 5 for name, ce in RESNET50_CE.items()}
    assert mce(errors, ALEXNET_ERRORS) == pytest.approx(76.7, abs=0.3)
    assert 100 * (
        1 - mean_corruption_accuracy({n: 1 - np.array(e) for n, e in errors.items()})
    ) == (pytest.approx(61, abs=0.5))


def test_mce_and_relative_mce_are_sums_over_severities_divided_by_name():
    errors, baseline = random_errors(0), random_errors(1)
    expected = np.mean([sum(errors[n]) / sum(baseline[n]) for n in STANDARD_CORRUPTIONS])
    assert mce(errors, baseline) == pytest.approx(100 * expected)
    expected = np.mean(
        [(sum(errors[n]) - 5 * 0.05) / (sum(baseline[n]) - 5 * 0.08) for n in STANDARD_CORRUPTIONS]
    )
    ours = relative_mce(errors, baseline, clean_error=0.05, baseline_clean_error=0.08)
    assert ours == pytest.approx(100 * expected)


def test_the_order_of_names_does_not_matter():
    errors, baseline = random_errors(0), random_errors(1)
    reversed_baseline = dict(reversed(baseline.items()))
    assert list(reversed_baseline) != list(baseline)
    assert mce(errors, reversed_baseline) == mce(errors, baseline)


def test_a_baseline_may_be_given_as_means_over_severities():
    errors, baseline = random_errors(0), random_errors(1)
    means = {name: float(np.mean(values)) for name, values in baseline.items()}
    assert mce(errors, means) == pytest.approx(mce(errors, baseline))


def test_a_baseline_without_errors_gives_nan():
    baseline = random_errors(1) | {"fog": [0.0] * 5}
    assert math.isnan(mce(random_errors(0), baseline))


def test_missing_corruptions_and_severities_are_named():
    errors, baseline = random_errors(0), random_errors(1)
    without_fog = {name: values for name, values in errors.items() if name != "fog"}
    with pytest.raises(ValueError, match="errors lack the standard corruption 'fog'"):
        mce(without_fog, baseline)
    with pytest.raises(ValueError, match="baseline errors lack the standard corruption 'fog'"):
        mce(errors, without_fog)
    with pytest.raises(ValueError, match="'fog' at 5 severities"):
        mean_corruption_accuracy(errors | {"fog": [0.5] * 4})
    with pytest.raises(ValueError, match="'fog' at 5 severities"):
        mce(errors | {"fog": 0.5}, baseline)
