"""Comparing two reports: which differences exceed noise, and what only one of them has."""

import copy
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lpclip.cli.command import main
from lpclip.errors import LpclipError
from lpclip.reporting.compare import changes_of, compare
from tests.helpers.evaluations import small_evaluation, write_tables


def row(name, value, deviation=math.nan, n_seeds=1):
    return {"method": "m", "n_seeds": n_seeds, name: value, f"{name}_std": deviation}


def verdict(name, before, after, images=(None, None)):
    (change,) = changes_of(before, after, [name], images)
    return change.verdict


@pytest.mark.parametrize("n_seeds", [(2, 2), (3, 5)])
@pytest.mark.parametrize("deviations", [(0.01, 0.01), (0.001, 0.03)])
def test_noise_of_seeds_is_judged_as_by_welchs_test(n_seeds, deviations):
    found = set()
    for difference in np.linspace(0.001, 0.5, 40):
        before = row("ece", 0.1, deviations[0], n_seeds[0])
        after = row("ece", 0.1 + difference, deviations[1], n_seeds[1])
        p_value = stats.ttest_ind_from_stats(
            0.1, deviations[0], n_seeds[0], 0.1 + difference, deviations[1], n_seeds[1],
            equal_var=False,
        ).pvalue  # fmt: skip
        expected = "worse" if p_value < 0.05 else "within noise"
        assert verdict("ece", before, after) == expected
        found.add(expected)
    assert len(found) == 2


def test_noise_of_images_is_that_of_two_proportions():
    (change,) = changes_of(row("accuracy", 0.5), row("accuracy", 0.6), ["accuracy"], (100, 400))
    expected = 1.959964 * math.sqrt(0.25 / 100 + 0.24 / 400)
    assert change.margin == pytest.approx(expected)
    assert change.verdict == "within noise"
    assert verdict("accuracy", row("accuracy", 0.5), row("accuracy", 0.7), (100, 400)) == "better"
    # A calibration error has no such closed form.
    assert verdict("ece", row("ece", 0.5), row("ece", 0.7), (100, 400)) == "unknown"


def test_noise_of_seeds_and_images_adds_up():
    before, after = row("accuracy", 0.5, 0.02, 3), row("accuracy", 0.6, 0.02, 3)
    margins = [
        changes_of(before, after, ["accuracy"], images)[0].margin
        for images in ((None, None), (100, 100))
    ]
    (of_images,) = changes_of(row("accuracy", 0.5), row("accuracy", 0.6), ["accuracy"], (100, 100))
    assert of_images.margin < margins[1]
    total = 2 * 0.02**2 / 3 + 0.25 / 100 + 0.24 / 100
    freedom = total**2 / (2 * (0.02**2 / 3) ** 2 / 2)
    assert margins[1] == pytest.approx(stats.t.ppf(0.975, freedom) * math.sqrt(total))


@pytest.mark.parametrize(
    ("name", "sign"),
    [
        ("accuracy", 1),
        ("mean_corruption_accuracy", 1),
        ("near_auroc_max_logit", 1),
        ("ece", -1),
        ("corrupted_nll", -1),
        ("mce_vs_zero_shot", -1),
        ("far_fpr95_id_pos_msp", -1),
        ("accuracy_lost_1_to_5", -1),
    ],
)
def test_more_is_better_for_some_figures_and_worse_for_others(name, sign):
    low, high = row(name, 0.2, 0.001, 3), row(name, 0.4, 0.001, 3)
    words = ["better", "worse"][:: int(sign)]
    assert [verdict(name, low, high), verdict(name, high, low)] == words


def test_one_seed_is_no_measure_of_noise_and_equal_figures_need_none():
    assert verdict("ece", row("ece", 0.2), row("ece", 0.3, 0.01, 3)) == "unknown"
    assert verdict("ece", row("ece", 0.2), row("ece", 0.2)) == "same"
    assert verdict("what", row("what", 0.2, 0, 2), row("what", 0.3, 0, 2)) == "changed"


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Two runs: in the second, one method is much better, one is missing and one is new."""
    folder = tmp_path_factory.mktemp("reports")
    first = small_evaluation()
    second = copy.deepcopy(first)
    for table in (second.methods, *second.rows.values()):
        table[:] = [entry for entry in table if entry["method"] != "supervised"]
        for entry in table:
            if entry["method"] == "lp_clip_balanced":
                entry["method"] = "new"
    for entry in second.rows["robustness"]:
        if entry["method"] == "lp_clip":
            entry["accuracy"] = min(1.0, entry["accuracy"] + 0.1)
    return [
        write_tables(evaluation, folder / name) / "report.csv"
        for evaluation, name in ((first, "a"), (second, "b"))
    ]


def test_the_table_says_what_changed_and_what_only_one_has(reports, capsys):
    main(["compare", *map(str, reports)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"before: {reports[0]}", f"after:  {reports[1]}"]
    before, after = (pd.read_csv(path).set_index("method")["accuracy"] for path in reports)
    cells = next(line for line in lines if line.startswith("lp_clip")).split()
    change = after["lp_clip"] - before["lp_clip"]
    assert cells[:3] == ["lp_clip", "clean", "acc."]
    assert [float(cell) for cell in cells[3:6]] == pytest.approx(
        [100 * before["lp_clip"], 100 * after["lp_clip"], 100 * change], abs=0.006
    )
    assert cells[-1] == "better"
    assert next(line for line in lines if line.startswith("zero_shot")).endswith("same")
    assert f"Only in {reports[0]}: tiny/digits/lp_clip_balanced, tiny/digits/supervised." in lines
    assert f"Only in {reports[1]}: tiny/digits/new." in lines
    assert max(map(len, lines[2:-3])) <= 100
    assert "near_auroc_msp" not in "".join(lines)
    assert "near_auroc_msp" in compare(*reports, every=True)


def test_figures_on_other_corruptions_are_left_out_and_named(reports, tmp_path):
    table = pd.read_csv(reports[1])
    table["frost_texture"] = "photographs"
    table.loc[table["method"] == "lp_clip", "n_labels"] = 7
    table.to_csv(tmp_path / "report.csv", index=False)
    shown = compare(reports[0], tmp_path / "report.csv")
    assert "generated frost is procedural before and photographs after" in shown
    assert "tiny/digits/lp_clip saw 0 labels before and 7 after." in shown
    assert "corrupt. acc." not in shown
    assert "clean acc." in shown


def test_the_number_of_images_is_found_in_tables_of_other_versions(reports, tmp_path):
    old = [tmp_path / name / "report.csv" for name in "ab"]
    for path, new in zip(old, reports, strict=True):
        path.parent.mkdir()
        path.write_bytes(new.read_bytes())
        table = pd.read_csv(new.with_name("robustness.csv"))
        table.drop(columns="aurc").to_csv(path.with_name("robustness.csv"), index=False)
    assert compare(*old).splitlines()[2:-2] == compare(*reports).splitlines()[2:-2]
    for path in old:
        path.with_name("robustness.csv").unlink()
    assert compare(*old).splitlines()[2:-2] != compare(*reports).splitlines()[2:-2]


def test_what_cannot_be_compared_is_a_sentence(reports, tmp_path):
    with pytest.raises(LpclipError, match=r"ood\.csv is not a report\.csv"):
        compare(reports[0], reports[1].with_name("ood.csv"))
    pd.read_csv(reports[1]).assign(model="other").to_csv(tmp_path / "report.csv", index=False)
    with pytest.raises(LpclipError, match=r"no method of the same model and benchmark.*Only in"):
        compare(reports[0], tmp_path / "report.csv")


def test_a_report_of_before_is_compared_by_all_that_it_held(reports):
    older = Path(__file__).with_name("older_report.csv")
    table = pd.read_csv(older)
    held = {name for name in table if f"{name}_std" in table and table[name].notna().all()}
    assert len(held) == 48
    detection = {name for name in held if name.startswith(("near_", "far_"))}
    # The small evaluation has four scores.
    made = {name for name in detection if name.endswith(("_msp", "_mcm", "_mahalanobis"))}
    # Others are shown by their headers.
    named = {"accuracy", "mean_corruption_accuracy", "mce_vs_zero_shot", "ece", "corrupted_ece"}
    shown = set(compare(older, reports[0], every=True).split())
    assert (held - detection - named) | {name for name in made if "_mcm" not in name} <= shown
    assert {"near_auroc_half_way_mcm", "worst_corruption_accuracy", "top5_accuracy"} <= shown
