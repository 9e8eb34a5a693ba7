"""The output of ``lpclip inspect`` for a report."""

import pandas as pd
import pytest

from lpclip.cli.inspect import describe
from tests.helpers.evaluations import small_evaluation, write_tables


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    return write_tables(small_evaluation(), tmp_path_factory.mktemp("reports"))


@pytest.mark.parametrize("name", ["ood", "per_class", "report", "robustness", "rounds"])
def test_a_report_is_described_by_kind_columns_and_rows(reports, name):
    table = pd.read_csv(reports / f"{name}.csv", keep_default_na=False)
    lines = describe(reports / f"{name}.csv", rows=1).splitlines()
    assert lines[0].endswith(f"{name}.csv: {name}")
    assert lines[1].startswith("  one row per")
    assert lines[2] == f"{len(table)} rows, {len(table.columns)} columns"
    assert [line.split()[0] for line in lines[3 : 3 + len(table.columns)]] == list(table)
    assert lines[3 + len(table.columns)] == "first 1 rows"
    assert max(map(len, lines)) <= 100


def test_columns_are_described_by_their_range_or_their_values(reports):
    lines = describe(reports / "rounds.csv").splitlines()
    found = dict(line.split(maxsplit=1) for line in lines if line.startswith("  "))
    assert found["seed"] == "whole number, 0 to 1"
    assert found["method"] == "text, 4 values: zero_shot, lp_clip, lp_clip_balanced, supervised"
    epochs = pd.read_csv(reports / "rounds.csv")["epochs"]
    assert found["epochs"] == f"whole number, 20, {epochs.isna().sum()} empty"
