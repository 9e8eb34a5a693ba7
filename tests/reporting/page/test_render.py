"""The page shows the reports' values, is self-contained, and escapes its input."""

import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from lpclip.reporting.methods import Method
from lpclip.reporting.page.summary import interval, verdict
from tests.helpers.evaluations import small_evaluation
from tests.helpers.pages import attributes_of, drawings, page_of, text_of


@pytest.fixture
def evaluation():
    return small_evaluation()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Page and folder of the unchanged evaluation, for read-only tests."""
    folder = tmp_path_factory.mktemp("plain")
    return page_of(small_evaluation(), folder), folder


def rows_of(page, caption):
    """Return the cells of the table with this start of its caption: row header -> texts."""
    table = re.search(rf"<caption><span>{caption}.*?</table>", page, flags=re.DOTALL)[0]
    found = {}
    for row in re.findall(r"<tr>(.*?)</tr>", table.partition("<tbody>")[2], flags=re.DOTALL):
        cells = re.findall(r"<(?:td|th)[^>]*>(.*?)</(?:td|th)>", row, flags=re.DOTALL)
        texts = [re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", cell)).strip() for cell in cells]
        found[texts[0]] = texts[1:]
    return found


def test_the_summary_shows_report_csv_with_the_best_marked(plain):
    page, folder = plain
    report = pd.read_csv(folder / "results/report.csv").set_index("method")
    rows = rows_of(page, "Every method")
    assert list(rows) == list(report.index)
    for method, cells in rows.items():
        row = report.loc[method]
        assert cells[0] == f"{row['n_labels']:,}"
        assert cells[1].startswith(f"{100 * row['accuracy']:.1f}")
        assert ("★" in cells[1]) == (method == "supervised")
        assert ("☆" in cells[1]) == (method == "lp_clip_balanced")
        if method != "zero_shot":
            gap = 100 * (row["ece"] - report.loc["zero_shot", "ece"])
            assert cells[4].endswith(f"{gap:+.1f}".replace("-", "−"))
    # The smallest calibration error is the best one.
    assert "★" in rows["lp_clip_balanced"][4]


def test_differences_carry_the_interval_of_comparisons_csv(evaluation, tmp_path):
    for row in evaluation.rows["comparisons"]:
        middle = 0.01 if row["method"] == "lp_clip_balanced" else 0.081
        row.update(difference=middle, difference_low=middle - 0.02, difference_high=middle + 0.02)
    page = page_of(evaluation, tmp_path)
    rows = rows_of(page, "Every method")
    assert rows["lp_clip"][1].endswith("+8.1 [+6.1, +10.1]")
    assert rows["lp_clip_balanced"][1].endswith("+1.0 [−1.0, +3.0]")
    assert '<small class="better">+8.1' in page
    assert '<small class="unsure">+1.0' in page


@pytest.mark.parametrize(
    ("difference", "low", "high", "text"),
    [
        (0.08, 0.061, 0.1, "+8.0 [+6.1, +10.0]"),
        (0.0, -0.0003, 0.0003, "0.00 [\N{MINUS SIGN}0.03, +0.03]"),
        (0.0, 0.0, 0.0, "0.0 [0.0, 0.0]"),
        (-0.012, np.nan, np.nan, "\N{MINUS SIGN}1.2"),
    ],
)
def test_a_narrow_interval_is_told_from_one_of_no_width_and_from_none(difference, low, high, text):
    row = pd.Series({"difference": difference, "difference_low": low, "difference_high": high})
    assert interval(row) == text


def test_the_page_holds_without_any_interval(evaluation, tmp_path):
    for kind in ("robustness", "comparisons"):
        for row in evaluation.rows[kind]:
            row.update({name: np.nan for name in row if name.endswith(("_low", "_high"))})
    page = page_of(evaluation, tmp_path)
    assert "nan" not in rows_of(page, "Every method")["lp_clip"][1]
    assert "nan]" not in page


def test_the_table_of_corruptions_holds_means_over_severities_and_seeds(plain, evaluation):
    rows = rows_of(plain[0], "Accuracy per corruption")
    assert list(rows)[:2] == ["gaussian noise", "shot noise"]
    assert list(rows)[-2:] == ["mean of the 15", "speckle noise"]
    assert "extra corruptions, in no mean" in plain[0]
    table = pd.DataFrame(evaluation.rows["robustness"])
    for place, method in enumerate(("zero_shot", "lp_clip")):
        own = table[table["method"] == method]
        chosen = {"fog": own["shift"] == "fog", "mean of the 15": own["group"] == "standard"}
        for row, which in chosen.items():
            assert rows[row][place].startswith(f"{100 * own[which]['accuracy'].mean():.1f}")


def test_generated_and_official_corruptions_have_tables_of_their_own(evaluation, tmp_path):
    official = [
        row | {"source": "official", "accuracy": 0.5}
        for row in evaluation.rows["robustness"]
        if row["source"] == "generated" and row["shift"] != "speckle_noise"
    ]
    evaluation.rows["robustness"] += official
    page = page_of(evaluation, tmp_path)
    assert page.count("<caption><span>Accuracy per corruption") == 2
    assert page.index("Corruptions, published files") < page.index("Corruptions, made in memory")
    assert rows_of(page, "Accuracy per corruption")["fog"][0] == "50.0"


def test_nothing_that_reaches_the_page_is_taken_for_html(evaluation, tmp_path):
    wild = """<script>alert("x")</script>'" onload=x $x$ &amp;"""
    for row in evaluation.methods + [r for rows in evaluation.rows.values() for r in rows]:
        for key in ("benchmark", "method", "class_name", "dataset"):
            if key in row:
                row[key] = f"{row[key]} {wild}"
    pair = ("tiny", f"digits {wild}")
    run = {
        "configuration": wild, "skipped": [[wild]], "skipped_columns": [wild],
        "models": [dict.fromkeys(("model", "architecture", "pretrained", "weights"), wild)],
    }  # fmt: skip
    page = page_of(evaluation, tmp_path, guard={pair: [wild]}, run=run)
    assert "<script" not in page
    assert not any(name.startswith("on") for name in attributes_of(page))
    assert page.count("&lt;script&gt;alert(&#34;x&#34;)") > 20
    assert len(drawings(page)) > 10


def test_the_page_refers_to_nothing_outside_of_it(plain):
    page, _ = plain
    assert "<script" not in page
    assert re.findall(r"""(?:src|href)=["'](?!#|data:)[^"']*""", page) == []
    assert re.findall(r"url\((?!#)|@import", page) == []
    anchors = set(re.findall(r'\bid="([^"]+)"', page))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= anchors
    assert len(page.encode()) < 5e6


def test_every_id_is_there_once_and_every_figure_has_words(plain):
    page, _ = plain
    ids = re.findall(r'\bid="([^"]+)"', re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL))
    assert len(ids) == len(set(ids))
    for drawing in drawings(page):
        assert drawing.get("aria-label") or drawing.get("aria-hidden") == "true"


def test_headings_descend_one_level_at_a_time(plain):
    levels = [int(n) for n in re.findall(r"<h(\d)", plain[0])]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_the_same_results_give_the_same_bytes(plain, evaluation, tmp_path):
    assert page_of(evaluation, tmp_path) == plain[0]


def test_two_benchmarks_have_a_part_each(evaluation, tmp_path):
    other = small_evaluation(benchmark="second one")
    evaluation.methods += other.methods
    for kind, rows in other.rows.items():
        evaluation.rows[kind] += rows
    page = page_of(evaluation, tmp_path)
    assert re.findall(r"<h2 [^>]*>([^<]*)</h2>", page) == [
        "digits, model tiny", "second one, model tiny", "What was run",
    ]  # fmt: skip
    assert page.count("<caption><span>Every method") == 2


@pytest.mark.parametrize("kind", ["ood", "rounds", "per_class", "reliability", "confusion"])
def test_what_was_not_measured_is_left_out(plain, evaluation, tmp_path, kind):
    titles = {
        "ood": "OOD detection", "rounds": "Round by round", "per_class": "Accuracy per class",
        "reliability": "to be trusted? Images in", "confusion": "against the truth",
    }  # fmt: skip
    assert titles[kind] in text_of(plain[0])
    evaluation.rows[kind] = []
    assert titles[kind] not in text_of(page_of(evaluation, tmp_path))


def test_more_than_seven_methods_differ_in_look(evaluation):
    from lpclip.reporting.methods import Methods
    from lpclip.reporting.page.figure import styles

    rows = [evaluation.methods[1] | {"method": f"m{place}"} for place in range(20)]
    looks = styles(Methods(rows))
    assert len({(str(v["color"]), v["marker"], str(v["linestyle"])) for v in looks.values()}) == 20


def test_a_dollar_in_a_name_is_no_formula(evaluation, tmp_path):
    for row in evaluation.rows["per_class"]:
        row["class_name"] = f"{row['class_name']} $\\frac{{1}}{{2$"
    assert "$\\frac{1}{2$" in page_of(evaluation, tmp_path)


def test_reliability_pools_seeds_and_severities():
    from lpclip.reporting.page.calibration import _curve

    rows = pd.DataFrame(
        {
            "bin": [3, 3, 14], "n": [10, 30, 0], "confidence": [0.2, 0.24, np.nan],
            "accuracy": [0.0, 0.4, np.nan],
        }
    )  # fmt: skip
    curve = _curve(rows)
    assert curve.index.tolist() == [3]
    assert curve.loc[3].tolist() == pytest.approx([40, 0.23, 0.3])


def test_without_labels_a_page_has_no_accuracy_and_is_a_page(evaluation, tmp_path):
    for row in evaluation.rows["robustness"]:
        row |= {"accuracy": np.nan, "ece": np.nan, "nll": np.nan}
    evaluation.rows["robustness"] = [
        row for row in evaluation.rows["robustness"] if row["family"] == "clean"
    ]
    for row in evaluation.rows["rounds"]:
        row |= {"test_accuracy": np.nan, "pseudo_label_accuracy": np.nan}
    for row in evaluation.rows["per_class"]:
        row |= {"n": "", "accuracy": np.nan}
    page = page_of(evaluation, tmp_path)
    text = text_of(page)
    assert "lp_clip" in text
    assert "nan" not in text.lower()
    assert drawings(page)


def test_the_page_has_what_frost_is_made_of(evaluation, tmp_path):
    text = text_of(page_of(evaluation, tmp_path / "procedural"))
    assert "Frost is procedural" in text
    assert "Frost is made of photographs" not in text
    for row in evaluation.rows["robustness"]:
        row["texture"] = "photographs" if row["shift"] == "frost" else ""
    text = text_of(page_of(evaluation, tmp_path / "photographs"))
    assert "Frost is procedural" not in text
    assert "Frost is made of photographs" in text


def test_clean_images_of_some_classes_are_not_drawn_as_clean(evaluation, tmp_path):
    before = page_of(evaluation, tmp_path / "before")
    evaluation.rows["robustness"] += [
        row | {"subset": "photos", "accuracy": 0.01, "ece": 0.9}
        for row in evaluation.rows["robustness"]
        if row["family"] == "clean"
    ]
    assert text_of(page_of(evaluation, tmp_path / "after")) == text_of(before)


def test_figures_of_many_methods_are_folded_but_none_is_left_out(evaluation, tmp_path):
    few = page_of(evaluation, tmp_path / "few")
    assert "more</summary>" not in few
    for number in range(8):
        name = f"again_{number}"
        evaluation.methods.append(evaluation.methods[1] | {"method": name})
        for rows in evaluation.rows.values():
            rows += [row | {"method": name} for row in rows if row["method"] == "lp_clip"]
    many = page_of(evaluation, tmp_path / "many")
    calibration = many.partition('-calibration-title">')[2].partition("</section>")[0]
    shown, _, folded = calibration.partition("<summary>3 more</summary>")
    assert (shown.count("<figure>"), folded.count("<figure>")) == (9, 3)


def test_pseudo_labels_of_many_classes_are_a_list_of_mistakes(evaluation, tmp_path):
    mistake = evaluation.rows["confusion"][0] | {"n": 7, "pseudo_label_name": "a mistake"}
    evaluation.rows["confusion"] += [
        mistake | {"pseudo_label_index": index} for index in range(10, 31)
    ]
    rows = rows_of(page_of(evaluation, tmp_path), f"{mistake['method']}: the most common mistakes")
    assert rows[mistake["class_name"]][0] == "a mistake"


PIXEL = "data:image/png;base64,iVBORw0KGgo="


def test_pictures_are_shown_with_the_truth_and_both_predictions(evaluation, tmp_path):
    image = {
        "id": "digit-1", "label": "<one>", "zero_shot": "seven", "prediction": "<one>",
        "before": 0.12, "after": 0.95, "image": PIXEL, "path": "digits/<1>",
    }  # fmt: skip
    pictures = {
        "clean": PIXEL,
        "examples": [{"name": "jpeg_compression", "images": {"1": PIXEL, "5": PIXEL}}],
        "official_examples": [
            {"name": "fog", "images": {"3": PIXEL}},
            {"name": "snow", "images": {"4": PIXEL}},
        ],
        "changes": [
            {
                "method": "lp_clip",
                "fixed": [image],
                "n_fixed": 1,
                "fixed_paths": [image["path"]],
                "broken": [],
                "n_broken": 0,
                "broken_paths": [],
            }
        ],
    }
    page = page_of(evaluation, tmp_path, pictures={("tiny", "digits"): pictures})
    assert page.count(f'src="{PIXEL}"') == 6
    assert all("alt=" in tag for tag in re.findall("<img [^>]*>", page))
    text = text_of(page)
    assert "seven → &lt;one&gt;" in text
    assert "12 → 95 %" in text
    assert "lp_clip is right: 1 image" in text
    assert "lp_clip is wrong: no images" in text
    assert "digits/&lt;1&gt;" in text
    made, _, published = text.partition("Every corruption and severity, published files")
    assert "jpeg compression" in made
    assert "fog" in published


def test_without_images_a_sentence_says_why(plain):
    assert "the test set holds precomputed features" in text_of(plain[0])


def test_a_benchmark_without_labels_has_a_page(evaluation, tmp_path):
    for row in evaluation.rows["robustness"]:
        row.update(dict.fromkeys(("accuracy", "accuracy_low", "accuracy_high", "ece"), np.nan))
        row.update(dict.fromkeys(("adaptive_ece", "nll", "brier", "aurc"), np.nan))
    for row in evaluation.rows["per_class"]:
        row.update(n=np.nan, accuracy=np.nan)
    for row in evaluation.rows["rounds"]:
        row.update(pseudo_label_accuracy=np.nan, test_accuracy=np.nan)
    for kind in ("comparisons", "reliability", "confusion"):
        evaluation.rows[kind] = []
    page = page_of(evaluation, tmp_path)
    text = text_of(page)
    assert "The test set has no labels" in text
    assert "not known: there are no labels" in text
    assert "Coverage" in text
    assert "near OOD AUROC" in text
    assert "Robustness" not in text
    assert "nan" not in text.lower().replace("nano", "")


def test_a_guarded_method_comes_with_the_command_that_checks_it(plain, evaluation, tmp_path):
    command = (
        "lpclip audit --probe results/tiny/digits/lp_clip/probes.h5 --features cache/tiny/images/"
    )
    assert "lpclip audit" not in plain[0]
    evaluation.methods[1]["kind"] = "guarded"
    assert command in text_of(page_of(evaluation, tmp_path))


@pytest.mark.parametrize(
    ("guarded", "first", "praises"),
    [
        (None, "Of the methods that saw no label, student is the most accurate", True),
        ((0.78, 0.06), "Ship guarded, whose head was chosen without a label.", True),
        ((0.9, 0.06), "Ship guarded, whose head was chosen without a label.", False),
        ((0.7, 0.1), "Ship zero-shot's own head, zero_shot: the guard of guarded kept it.", True),
    ],
)
def test_the_head_to_ship_comes_before_the_one_that_the_labels_praise(guarded, first, praises):
    figures = {"zero_shot": (0.7, 0.1), "student": (0.8, 0.05), "supervised": (0.95, 0.02)}
    if guarded:
        figures["guarded"] = guarded
    report = pd.DataFrame(
        {
            "method": name, "n_labels": 100 * (name == "supervised"), "accuracy": accuracy,
            "ece": ece, "mean_corruption_accuracy": accuracy - 0.1,
        }
        for name, (accuracy, ece) in figures.items()
    )  # fmt: skip
    methods = [Method("m", "b", name, name, 0, "weak", "", False, "images") for name in figures]
    text = verdict(report, pd.DataFrame(), "zero_shot", methods)
    assert text.startswith(first)
    assert ("flatters it a little" in text) == praises
    assert ("student" in text) == praises
    assert "supervised" not in text


def test_methods_with_the_same_curves_are_each_seen_and_named(plain, evaluation, tmp_path):
    rows = evaluation.rows["robustness"]
    of_student = {
        tuple(row[key] for key in ("shift", "source", "severity", "seed")): row
        for row in rows
        if row["method"] == "lp_clip"
    }
    assert "coincide" not in plain[0]
    for row in rows:
        if row["method"] == "lp_clip_balanced":
            other = of_student[tuple(row[key] for key in ("shift", "source", "severity", "seed"))]
            row.update({key: other[key] for key in ("accuracy", "ece")})
    page = page_of(evaluation, tmp_path)
    sentence = "lp_clip_balanced and lp_clip coincide: their curves lie on each other."
    assert page.count(sentence) == 1
    # Dashes of the upper line, in the figures and in the legend.
    assert page.count("stroke-dasharray") >= plain[0].count("stroke-dasharray") + 3
