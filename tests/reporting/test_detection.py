"""The report recommends the score that is best on held-out classes."""

import pandas as pd

from lpclip.reporting.detection import in_words, recommended
from lpclip.reporting.terminal import summary
from tests.helpers.evaluations import write_tables


def rows(*cells):
    return pd.DataFrame(cells, columns=["method", "seed", "score", "auroc"])


def test_the_best_mean_over_seeds_is_recommended_and_of_equal_ones_the_first():
    table = rows(
        ("b", 0, "msp", 0.9), ("b", 0, "mcm", 0.8), ("b", 1, "msp", 0.5),
        ("b", 1, "mcm", 0.7), ("a", 0, "msp", 0.6), ("a", 0, "mcm", 0.6),
        ("a", 0, "max_logit", 0.9), ("a", 0, "energy", 0.9),
    )  # fmt: skip
    assert list(recommended(table).items()) == [("b", "mcm"), ("a", "msp")]
    assert recommended(rows()) == {}


def test_words_say_which_score_goes_with_which_method():
    assert in_words({"a": "msp", "b": "msp"}).endswith("use msp, whatever the method.")
    assert "msp with a, c; energy with b" in in_words({"a": "msp", "b": "energy", "c": "msp"})


def summary_of(evaluation, folder):
    return " ".join(summary(write_tables(evaluation, folder) / "report.csv").split())


def test_the_summary_follows_the_held_out_classes(evaluation, tmp_path):
    text = summary_of(evaluation, tmp_path / "one")
    assert "use half_way_mcm with zero_shot, supervised; mahalanobis with lp_clip," in text
    for row in evaluation.rows["ood_held_out"]:
        row["auroc"] = float(row["score"] == "mahalanobis")
    text = summary_of(evaluation, tmp_path / "other")
    assert "use mahalanobis, whatever the method" in text
    assert "No out-of-distribution image" in text
    evaluation.rows["ood_held_out"] = []
    text = summary_of(evaluation, tmp_path / "none")
    assert "To detect out-of-distribution" not in text
