"""The page that compares runs: its figures are those of the text, and names are escaped."""

import copy
import re
from pathlib import Path

import pytest

from lpclip.cli.command import main
from lpclip.errors import LpclipError
from lpclip.reporting.compare import comparison
from lpclip.reporting.comparison_page import run_names, write_comparison
from tests.helpers.evaluations import small_evaluation, write_tables


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Three runs of the same methods; accuracies of the second differ."""
    folder = tmp_path_factory.mktemp("runs")
    first = small_evaluation()
    second = copy.deepcopy(first)
    for row in second.rows["robustness"]:
        row["accuracy"] *= 0.8
    runs = {"one": first, "<b>two": second, "three": first}
    return [write_tables(run, folder / name) / "report.csv" for name, run in runs.items()]


@pytest.fixture(scope="module")
def page(reports, tmp_path_factory):
    output = tmp_path_factory.mktemp("page") / "comparison.html"
    write_comparison(reports, output)
    return output.read_text(encoding="utf-8")


def test_every_figure_of_the_text_is_on_the_page(reports, page):
    found = comparison(reports[0], reports[1])
    changes = [one for changes in found.changes.values() for one in changes]
    assert len(changes) > 10
    cells = re.findall(r"\(([+-][\d.]+), (±[\d.]+|\?), ([a-z ]+)\)", page)
    assert len(cells) == 2 * len(changes)


def test_names_are_escaped_and_nothing_comes_from_a_network(page):
    assert "&lt;b&gt;two" in page
    assert "<b>two" not in page
    assert not re.search(r"(?:src|href)=\"https?:|<script", page)


def test_figures_are_described_in_words(page):
    assert re.search(r'aria-label="[^"]+ of \d+ methods in 3 runs\."', page)


def test_runs_are_named_by_what_tells_them_apart():
    runs = [Path(f"/x/{name}/results/report.csv") for name in ("a", "b/c", "b/d")]
    assert run_names(runs) == ["a", "b/c", "b/d"]
    assert run_names([runs[0], runs[0]]) == ["report (1)", "report (2)"]
    assert run_names([Path("/a/b/report.csv"), Path("/b/a/report.csv")]) == ["a/b", "b/a"]


def test_a_report_is_not_overwritten(reports):
    before = reports[1].read_bytes()
    with pytest.raises(LpclipError, match="is one of the reports"):
        write_comparison(reports, reports[1])
    assert reports[1].read_bytes() == before


def test_one_report_is_no_comparison(reports, tmp_path):
    with pytest.raises(LpclipError, match="two reports or more"):
        write_comparison(reports[:1], tmp_path / "x.html")


def test_the_command_takes_several_reports(reports, tmp_path, capsys):
    main(["compare", *map(str, reports), "--html", str(tmp_path / "x.html")])
    assert capsys.readouterr().out.strip() == str(tmp_path / "x.html")
    main(["compare", *map(str, reports)])
    assert capsys.readouterr().out.count("before: ") == 2
