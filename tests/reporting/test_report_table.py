"""report.csv computed by hand on few numbers; order, bytes and errors of all tables."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from lpclip.corruption_names import STANDARD
from lpclip.errors import LpclipError
from lpclip.metrics.robustness import ALEXNET_ERRORS
from lpclip.reporting.stage import write_reports
from tests.helpers.evaluations import small_evaluation, write_tables


def written(evaluation, folder):
    """Return the report as text cells."""
    path = write_tables(evaluation, folder) / "report.csv"
    return pd.read_csv(path, keep_default_na=False, dtype=str)


def shift_of(folder, shift="standard_corruptions", source="generated"):
    """The rows of shifts.csv on one shift, by method."""
    table = pd.read_csv(folder / "results/shifts.csv", keep_default_na=False, dtype=str)
    rows = table[(table["shift"] == shift) & (table["source"] == source)]
    return rows.set_index("method")


def bytes_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def keep(evaluation, kind, predicate):
    evaluation.rows[kind] = [row for row in evaluation.rows[kind] if predicate(row)]


def set_by_hand(evaluation):
    """Errors: zero-shot 0.4, lp_clip 0.2 and 0.1 in its two seeds; twice that for fog."""
    keep(evaluation, "robustness", lambda row: row["method"] in ("zero_shot", "lp_clip"))
    keep(evaluation, "robustness", lambda row: row["seed"] < 2)
    keep(evaluation, "ood", lambda row: row["method"] in ("zero_shot", "lp_clip"))
    keep(evaluation, "ood", lambda row: row["seed"] < 2)
    evaluation.methods = evaluation.methods[:2]
    for kind in evaluation.rows.keys() - {"robustness", "ood"}:
        evaluation.rows[kind] = []
    errors = {("zero_shot", 0): 0.4, ("lp_clip", 0): 0.2, ("lp_clip", 1): 0.1}
    for row in evaluation.rows["robustness"]:
        error = errors[row["method"], row["seed"]]
        if row["shift"] == "clean":
            row |= {"accuracy": 1 - error, "ece": 0.25, "nll": 1.5}
        elif row["shift"] in STANDARD:
            factor = 2 if row["shift"] == "fog" else 1
            row |= {"accuracy": 1 - error * factor, "ece": 0.1 * row["severity"], "nll": 3.0}
        else:  # extra corruptions and natural shifts are in no mean
            row |= {"accuracy": 0.0, "ece": 1.0, "nll": 30.0}
    for row in evaluation.rows["ood"]:
        row["auroc"] = {"letters": 0.9, "photos": 0.8, "noise": 0.6}[row["dataset"]]
        row["auroc"] -= 0.1 * row["seed"]


def test_report_has_the_numbers_found_by_hand(evaluation, tmp_path):
    set_by_hand(evaluation)
    report = written(evaluation, tmp_path).set_index("method")
    zero_shot, lp_clip = report.loc["zero_shot"], report.loc["lp_clip"]

    columns = ["n_labels", "n_seeds", "student_view", "strong_policy"]
    assert list(zero_shot[columns]) == ["0", "1", "", ""]
    assert list(lp_clip[columns]) == ["0", "2", "strong", "disjoint"]
    assert zero_shot["accuracy"] == "0.6"
    assert zero_shot["accuracy_std"] == ""
    assert zero_shot["mce_vs_zero_shot"] == "100"
    # Fourteen corruptions with error e and one with 2e: the mean error is 16/15 e.
    assert float(zero_shot["mean_corruption_accuracy"]) == pytest.approx(1 - 0.4 * 16 / 15, 1e-5)

    assert float(lp_clip["accuracy"]) == pytest.approx(0.85)
    assert float(lp_clip["accuracy_std"]) == pytest.approx(0.1 / np.sqrt(2), 1e-5)
    assert float(lp_clip["mce_vs_zero_shot"]) == pytest.approx((50 + 25) / 2)
    assert float(lp_clip["mce_vs_zero_shot_std"]) == pytest.approx(25 / np.sqrt(2), 1e-5)
    assert lp_clip["ece"] == "0.25"
    assert lp_clip["corrupted_ece"] == "0.3"
    assert lp_clip["nll"] == "1.5"
    assert lp_clip["corrupted_nll"] == "3"
    assert float(lp_clip["near_auroc_max_logit"]) == pytest.approx(0.85)
    assert float(lp_clip["far_auroc_max_logit"]) == pytest.approx(0.65)
    assert float(lp_clip["far_auroc_max_logit_std"]) == pytest.approx(0.1 / np.sqrt(2), 1e-5)
    assert len(report.columns) + 1 <= 40


def test_shifts_have_the_numbers_found_by_hand(evaluation, tmp_path):
    set_by_hand(evaluation)
    report = written(evaluation, tmp_path).set_index("method")
    together = shift_of(tmp_path)
    lp_clip = together.loc["lp_clip"]
    assert (together["accuracy"] == report["mean_corruption_accuracy"]).all()
    assert (together["mce_vs_zero_shot"] == report["mce_vs_zero_shot"]).all()
    # The clean error is that of all corruptions but fog, which adds as much again, as zero-shot's.
    assert float(lp_clip["accuracy_lost_1_to_5"]) == pytest.approx(0)
    assert list(together["worst_corruption"]) == ["fog", "fog"]
    assert float(lp_clip["worst_corruption_accuracy"]) == pytest.approx((0.6 + 0.8) / 2)
    assert lp_clip["relative_mce_vs_zero_shot"] == ""  # zero-shot loses nothing under fourteen
    fog = shift_of(tmp_path, "fog").loc["lp_clip"]
    assert [fog["n_severities"], fog["accuracy"], fog["ece"]] == ["5", "0.7", "0.3"]
    assert float(fog["accuracy_std"]) == pytest.approx(0.2 / np.sqrt(2), 1e-5)
    clean = shift_of(tmp_path, "clean", "clean").loc["lp_clip"]
    assert [clean["n_severities"], clean["accuracy"]] == ["0", "0.85"]
    assert list(shift_of(tmp_path, "photos", "natural")["accuracy"]) == ["0", "0"]


@pytest.mark.parametrize("best", ["half_way_mcm", "mahalanobis"])
def test_the_recommended_score_has_figures_of_its_own(evaluation, tmp_path, best):
    for row in evaluation.rows["ood_held_out"]:
        row["auroc"] = float(row["score"] == best)
    report = written(evaluation, tmp_path).set_index("method")
    assert set(report["recommended_score"]) == {best}
    ood = pd.read_csv(tmp_path / "results/ood.csv")
    for group in ("near", "far"):
        own = ood[(ood["group"] == group) & (ood["score"] == best) & (ood["method"] == "lp_clip")]
        found = float(report.loc["lp_clip", f"{group}_auroc_recommended"])
        assert found == pytest.approx(own["auroc"].mean(), 1e-5)
    evaluation.rows["ood_held_out"] = []
    none = written(evaluation, tmp_path / "none")
    assert set(none["recommended_score"]) == set(none["near_auroc_recommended"]) == {""}


def test_mce_is_empty_without_a_zero_shot_method(evaluation, tmp_path):
    for method in evaluation.methods:
        method["kind"] = "other"
    report = written(evaluation, tmp_path)
    assert set(report["mce_vs_zero_shot"]) == {""}
    assert "" not in set(report["mean_corruption_accuracy"])


def test_corrupted_figures_are_empty_if_a_single_cell_is_missing(evaluation, tmp_path):
    missing = ("lp_clip", 1, "fog", 5)
    keep(
        evaluation,
        "robustness",
        lambda row: (row["method"], row["seed"], row["shift"], row["severity"]) != missing,
    )
    report = written(evaluation, tmp_path)
    for name in ("mean_corruption_accuracy", "corrupted_ece", "corrupted_nll"):
        assert set(report[name]) == {""}
    assert "" not in set(report["accuracy"])


def test_official_corruptions_have_rows_of_their_own(evaluation, tmp_path):
    official = [
        row | {"source": "official", "accuracy": 0.25, "ece": 0.5, "nll": 7.0}
        for row in evaluation.rows["robustness"]
        if row["source"] == "generated"
    ]
    generated = written(evaluation, tmp_path / "generated")
    evaluation.rows["robustness"] += official[:-30]
    partly = written(evaluation, tmp_path / "partly")
    evaluation.rows["robustness"] += official[-30:]
    both = written(evaluation, tmp_path / "both")
    assert shift_of(tmp_path / "generated", source="official").empty
    assert shift_of(tmp_path / "partly", source="official").empty
    found = shift_of(tmp_path / "both", source="official")
    columns = ("accuracy", "mce_vs_zero_shot", "mce_vs_alexnet", "ece", "nll")
    assert [set(found[name]) for name in columns] == [{"0.25"}, {"100"}, {""}, {"0.5"}, {"7"}]
    for report in (partly, both):
        pd.testing.assert_frame_equal(report, generated)


def test_on_imagenet_official_corruptions_are_told_relative_to_alexnet(evaluation, tmp_path):
    """Half of AlexNet's error everywhere: mCE 50; the clean error is 0.1 lower."""
    for method in evaluation.methods:
        method["imagenet"] = True
    for row in evaluation.rows["robustness"]:
        if row["source"] == "generated":
            row["source"] = "official"
            row["accuracy"] = 1 - ALEXNET_ERRORS[row["shift"]] / 2
        elif row["family"] == "clean":
            row["accuracy"] = 1 - 0.2
    report = written(evaluation, tmp_path).iloc[0]
    row = shift_of(tmp_path, source="official").iloc[0]
    assert float(row["mce_vs_alexnet"]) == pytest.approx(50)
    by_hand = [
        (ALEXNET_ERRORS[name] / 2 - 0.2) / (ALEXNET_ERRORS[name] - 0.4348) for name in STANDARD
    ]
    relative = float(row["relative_mce_vs_alexnet"])
    assert relative == pytest.approx(100 * np.mean(by_hand), 1e-5)
    assert report["mean_corruption_accuracy"] == ""


def test_effective_robustness_is_in_the_row_of_its_shift(evaluation, tmp_path):
    for row in evaluation.rows["robustness"]:
        if row["shift"] == "photos":
            row["shift"] = "imagenet-r"
            row["effective_robustness"] = 0.1 + 0.2 * row["seed"]
    written(evaluation, tmp_path)
    rows = shift_of(tmp_path, "imagenet-r", "natural")
    assert rows.loc["zero_shot", "effective_robustness"] == "0.1"
    assert rows.loc["lp_clip", "effective_robustness"] == "0.2"
    std = float(rows.loc["lp_clip", "effective_robustness_std"])
    assert std == pytest.approx(0.1 * np.sqrt(2), 1e-5)


def test_clean_images_of_some_classes_count_in_no_mean(evaluation, tmp_path):
    before = written(evaluation, tmp_path / "before")
    evaluation.rows["robustness"] += [
        row | {"subset": "photos", "accuracy": 0.0, "nll": 99.0}
        for row in evaluation.rows["robustness"]
        if row["family"] == "clean"
    ]
    pd.testing.assert_frame_equal(written(evaluation, tmp_path / "after"), before)
    pd.testing.assert_frame_equal(
        shift_of(tmp_path / "after", "clean", "clean"),
        shift_of(tmp_path / "before", "clean", "clean"),
    )


def test_without_labels_there_is_a_report_of_confidence(evaluation, tmp_path):
    for row in evaluation.rows["robustness"]:
        row |= {"accuracy": np.nan, "ece": np.nan, "nll": np.nan, "confidence": 0.7}
    for row in evaluation.rows["per_class"]:
        row |= {"n": "", "accuracy": np.nan}
    report = written(evaluation, tmp_path)
    assert set(report["accuracy"]) == {""}
    assert set(shift_of(tmp_path, "clean", "clean")["confidence"]) == {"0.7"}


def test_groups_that_do_not_occur_have_no_figure(evaluation, tmp_path):
    keep(evaluation, "ood", lambda row: row["group"] == "far")
    far_only = written(evaluation, tmp_path / "far")
    assert set(far_only["near_auroc_max_logit"]) == {""}
    assert "" not in set(far_only["far_auroc_max_logit"])
    evaluation.rows["ood"] = []
    none = written(evaluation, tmp_path / "none")
    assert set(none["far_auroc_max_logit"]) == set(none["far_auroc_recommended"]) == {""}
    assert (tmp_path / "none/results/ood.csv").read_text().count("\n") == 1


def test_rows_follow_the_configuration_then_shift_severity_and_seed(evaluation, tmp_path):
    evaluation.methods.reverse()
    report = written(evaluation, tmp_path)
    assert list(report["method"]) == ["supervised", "lp_clip_balanced", "lp_clip", "zero_shot"]
    table = pd.read_csv(tmp_path / "results" / "robustness.csv")
    of_first = table[table["method"] == "supervised"]
    shifts = ["clean", *STANDARD]
    shifts.insert(4, "speckle_noise")  # the extra noise is last in its family
    assert list(of_first["shift"].unique()) == [*shifts, "photos"]
    fog = of_first[of_first["shift"] == "fog"]
    assert list(zip(fog["severity"], fog["seed"], strict=True)) == [
        (severity, seed) for severity in range(1, 6) for seed in range(2)
    ]


def test_the_same_results_give_the_same_bytes_in_any_order(evaluation, tmp_path):
    write_reports(**evaluation.write(tmp_path / "parts"), output=tmp_path / "first")
    for rows in evaluation.rows.values():
        np.random.default_rng(0).shuffle(rows)
    shuffled = evaluation.write(tmp_path / "shuffled")
    for kind in evaluation.rows:
        shuffled[kind].reverse()
    write_reports(**shuffled, output=tmp_path / "second")
    first = bytes_of(tmp_path / "first")
    assert set(first) >= {
        "figures/rounds.png", "figures/severity.png", "ood.csv", "per_class.csv", "report.csv",
        "robustness.csv", "rounds.csv", "shifts.csv", "comparisons.csv", "reliability.csv",
    }  # fmt: skip
    assert bytes_of(tmp_path / "second") == first
    assert not any(b"Software" in content for content in first.values())


def test_names_that_look_missing_survive(evaluation, tmp_path):
    written(evaluation, tmp_path)
    table = pd.read_csv(tmp_path / "results/per_class.csv", keep_default_na=False)
    assert set(table["class_name"]) == {"one", "NA", '"two", quoted'}
    assert table.loc[table["n"] == 0, "accuracy"].eq("").all()


def test_two_benchmarks_do_not_mix(evaluation, tmp_path):
    alone = written(evaluation, tmp_path / "alone")
    other = small_evaluation(benchmark="letters")
    for row in other.rows["robustness"]:
        row["accuracy"] /= 2
    evaluation.methods += other.methods
    for kind, rows in other.rows.items():
        evaluation.rows[kind] += rows
    report = written(evaluation, tmp_path / "both")
    assert list(report["benchmark"]) == ["digits"] * 4 + ["letters"] * 4
    pd.testing.assert_frame_equal(report[:4], alone)
    assert report["mce_vs_zero_shot"][4] == "100"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: row.pop("ece"), r"lacks the columns \[ece\]"),
        (lambda row: row.update(extra=1), r"unknown columns \[extra\]"),
        (lambda row: row.update(accuracy="high"), "column 'accuracy' holds no numbers"),
        (
            lambda row: row.update(severity=1.5),
            "column 'severity' holds something other than",
        ),
        (lambda row: row.update(n=""), "column 'n' holds something other than"),
        (lambda row: row.update(method="unheard"), "'unheard' .* not among the methods"),
        (lambda row: row.update(shift="fog", severity=1), "Two robustness rows .* shift fog"),
    ],
)
def test_bad_parts_are_refused_with_a_sentence(evaluation, tmp_path, change, message):
    for row in evaluation.rows["robustness"]:
        change(row)
    with pytest.raises(LpclipError, match=message):
        written(evaluation, tmp_path)


def test_a_method_without_results_is_named(evaluation, tmp_path):
    keep(evaluation, "robustness", lambda row: row["method"] != "lp_clip")
    with pytest.raises(LpclipError, match=r"Method 'lp_clip' .* has no result"):
        written(evaluation, tmp_path)


def test_a_missing_file_is_named(evaluation, tmp_path):
    arguments = evaluation.write(tmp_path / "parts")
    arguments["ood"].append(tmp_path / "gone.csv")
    with pytest.raises(LpclipError, match=r"gone\.csv does not exist"):
        write_reports(**arguments, output=tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_reports_need_no_torch():
    code = """import sys, lpclip.reporting.stage, lpclip.reporting.figures
print('torch' in sys.modules)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
