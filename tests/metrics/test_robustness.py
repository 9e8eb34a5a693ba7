"""Summaries over corruptions: equal weights, baselines by name, published figures."""

import math

import numpy as np
import pytest

from lpclip.corruption_names import EXTRA, STANDARD
from lpclip.metrics.robustness import (
    ALEXNET,
    ALEXNET_CLEAN_ERROR,
    ALEXNET_ERRORS,
    Baseline,
    corruption_summary,
    mce,
    relative_mce,
    worst_corruption,
)

# Top-1 accuracy on ImageNet-C of torchvision's ResNet-50, per cent, mean over severities, and the
# corruption error published with it: bethgelab/game-of-noise (Rusak et al. 2020),
# Results/clean_results.txt of its commit f220bd4.
RESNET50 = {
    "gaussian_noise": (29.29, 79.77),
    "shot_noise": (27.03, 81.58),
    "impulse_noise": (23.81, 82.58),
    "defocus_blur": (38.75, 74.71),
    "glass_blur": (26.79, 88.61),
    "motion_blur": (38.67, 78.03),
    "zoom_blur": (36.24, 79.86),
    "snow": (32.53, 77.83),
    "frost": (38.14, 74.84),
    "fog": (45.83, 66.11),
    "brightness": (68.02, 56.64),
    "contrast": (39.06, 71.43),
    "elastic_transform": (45.25, 84.75),
    "pixelate": (44.79, 76.92),
    "jpeg_compression": (53.41, 76.82),
}
RESNET50_CLEAN_ERROR = 0.2387


def random_errors(seed, names=STANDARD):
    random = np.random.default_rng(seed)
    return {name: random.uniform(0.1, 0.9, 5).tolist() for name in names}


def summary(accuracies):
    return corruption_summary(accuracies, clean_accuracy=0.95, baselines={})


def test_there_are_15_standard_corruptions_and_4_that_never_count():
    assert len(STANDARD) == 15
    assert set(STANDARD).isdisjoint(EXTRA)
    assert set(STANDARD) | set(EXTRA) == set(ALEXNET_ERRORS)
    errors, baseline = random_errors(0), random_errors(1)
    with_extra = errors | random_errors(2, EXTRA)
    assert mce(with_extra, baseline) == mce(errors, baseline)
    assert summary(with_extra) == summary(errors)


def test_mean_corruption_accuracy_weighs_all_75_cells_alike():
    accuracies = random_errors(0)
    expected = np.concatenate([accuracies[name] for name in STANDARD]).mean()
    assert summary(accuracies)["mean_corruption_accuracy"] == pytest.approx(expected, abs=1e-12)


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
    errors = {name: [1 - accuracy / 100] * 5 for name, (accuracy, _) in RESNET50.items()}
    # 76.70 in that file, 76.7 in Hendrycks & Dietterich (2019).
    assert mce(errors, ALEXNET_ERRORS) == pytest.approx(76.70, abs=0.01)
    accuracies = {name: [accuracy / 100] * 5 for name, (accuracy, _) in RESNET50.items()}
    assert summary(accuracies)["mean_corruption_accuracy"] == pytest.approx(0.3917, abs=1e-4)
    # Without the baseline the result would be the mean error.
    assert mce(errors, dict.fromkeys(errors, 1.0)) == pytest.approx(60.8, abs=0.1)


@pytest.mark.parametrize("corruption", RESNET50)
def test_resnet50_has_its_published_error_under_every_corruption(corruption):
    accuracy, published = RESNET50[corruption]
    # All others equal the baseline, with 100 each; the rest of the sum is the one under test.
    errors = dict(ALEXNET_ERRORS) | {corruption: 1 - accuracy / 100}
    found = mce({name: [error] * 5 for name, error in errors.items()}, ALEXNET_ERRORS)
    assert 15 * found - 1400 == pytest.approx(published, abs=0.02)


def test_resnet50_loses_more_of_its_accuracy_than_alexnet():
    errors = {name: [1 - accuracy / 100] * 5 for name, (accuracy, _) in RESNET50.items()}
    relative = relative_mce(
        errors,
        ALEXNET_ERRORS,
        clean_error=RESNET50_CLEAN_ERROR,
        baseline_clean_error=ALEXNET_CLEAN_ERROR,
    )
    # 105.0 in table 1 of Hendrycks & Dietterich (2019).
    assert relative == pytest.approx(105.0, abs=0.1)


def test_mce_and_relative_mce_are_sums_over_severities_divided_by_name():
    errors, baseline = random_errors(0), random_errors(1)
    expected = np.mean([sum(errors[n]) / sum(baseline[n]) for n in STANDARD])
    assert mce(errors, baseline) == pytest.approx(100 * expected)
    expected = np.mean(
        [(sum(errors[n]) - 5 * 0.05) / (sum(baseline[n]) - 5 * 0.08) for n in STANDARD]
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


@pytest.mark.parametrize("clean_error", [0.5, 0.6])
def test_a_baseline_that_loses_nothing_under_a_corruption_gives_nan(clean_error):
    baseline = {name: [0.7] * 5 for name in STANDARD} | {"fog": [0.5] * 5}
    relative = relative_mce(
        random_errors(0), baseline, clean_error=0.1, baseline_clean_error=clean_error
    )
    assert math.isnan(relative)
    assert not math.isnan(
        relative_mce(random_errors(0), baseline, clean_error=0.1, baseline_clean_error=0.4)
    )


def test_worst_corruption_and_lost_accuracy_are_those_of_a_loop():
    accuracies = random_errors(3) | {"saturate": [0.0] * 5, "spatter": [1, 0, 0, 0, 0]}
    means = {name: sum(accuracies[name]) / 5 for name in STANDARD}
    name, accuracy = worst_corruption(accuracies)
    assert accuracy == pytest.approx(min(means.values()), abs=1e-12)
    assert means[name] == pytest.approx(accuracy, abs=1e-12)
    lost = [accuracies[name][0] - accuracies[name][4] for name in STANDARD]
    assert summary(accuracies)["accuracy_lost_1_to_5"] == pytest.approx(sum(lost) / 15, abs=1e-12)


def test_of_equally_bad_corruptions_the_first_is_the_worst():
    assert worst_corruption(dict.fromkeys(reversed(STANDARD), [0.5] * 5)) == (
        "gaussian_noise",
        0.5,
    )


def test_the_summary_names_the_baseline_in_its_columns():
    accuracies = random_errors(0)
    own = {name: 1 - np.array(row) for name, row in accuracies.items()}
    zero_shot = Baseline(random_errors(1), clean_error=0.02)
    found = corruption_summary(
        accuracies, clean_accuracy=0.95, baselines={"alexnet": ALEXNET, "zero_shot": zero_shot}
    )
    assert list(found) == [
        "mean_corruption_accuracy", "worst_corruption", "worst_corruption_accuracy",
        "accuracy_lost_1_to_5", "mce_vs_alexnet", "relative_mce_vs_alexnet", "mce_vs_zero_shot",
        "relative_mce_vs_zero_shot",
    ]  # fmt: skip
    assert found["mce_vs_zero_shot"] == mce(own, zero_shot.errors)
    assert found["mce_vs_alexnet"] == mce(own, ALEXNET_ERRORS)
    assert found["relative_mce_vs_alexnet"] == pytest.approx(
        relative_mce(
            own, ALEXNET_ERRORS, clean_error=0.05, baseline_clean_error=ALEXNET_CLEAN_ERROR
        )
    )


@pytest.mark.parametrize("summarise", [worst_corruption, summary])
def test_no_summary_does_without_a_corruption(summarise):
    accuracies = random_errors(0)
    del accuracies["snow"]
    with pytest.raises(ValueError, match="lack the standard corruption 'snow'"):
        summarise(accuracies)


def test_missing_corruptions_and_severities_are_named():
    errors, baseline = random_errors(0), random_errors(1)
    without_fog = {name: values for name, values in errors.items() if name != "fog"}
    with pytest.raises(ValueError, match="errors lack the standard corruption 'fog'"):
        mce(without_fog, baseline)
    with pytest.raises(ValueError, match="baseline errors lack the standard corruption 'fog'"):
        mce(errors, without_fog)
    with pytest.raises(ValueError, match="'fog' at 5 severities"):
        summary(errors | {"fog": [0.5] * 4})
    with pytest.raises(ValueError, match="'fog' at 5 severities"):
        mce(errors | {"fog": 0.5}, baseline)
