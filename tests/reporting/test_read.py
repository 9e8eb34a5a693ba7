"""Reports are read with the types of their tables of columns."""

from pathlib import Path

import pandas as pd
import pytest

import lpclip
from lpclip.columns.registry import TABLES
from lpclip.columns.report import REPORT
from lpclip.errors import LpclipError
from lpclip.reporting.read import read_report, table_of
from tests.helpers.evaluations import write_tables

# Two rows of the default run by the last version whose report.csv held everything.
OLDER = Path(__file__).with_name("older_report.csv")
CELLS = {
    "text": ["NA", ""],
    "integer": ["7", "7"],
    "count": ["7", ""],
    "number": ["0.5", ""],
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_column_has_the_type_of_its_table(table, tmp_path):
    path = tmp_path / f"{table.name}.csv"
    pd.DataFrame({column.name: CELLS[column.type] for column in table.columns}).to_csv(
        path, index=False
    )
    found = read_report(path)
    assert table_of(found) is table
    assert tuple(found) == table.names
    for column in table.columns:
        full, other = CELLS[column.type]
        if column.type == "text":
            assert found[column.name].tolist() == [full, other]
        else:
            whole = pd.api.types.is_integer_dtype(found[column.name])
            assert whole == (column.type in ("integer", "count")), column.name
            assert found[column.name].isna().tolist() == [False, other == ""]
            assert float(found[column.name][0]) == float(full)


def test_a_report_of_a_run_reads_as_pandas_would(evaluation, tmp_path):
    folder = write_tables(evaluation, tmp_path)
    report = lpclip.read_report(str(folder / "report.csv"))
    plain = pd.read_csv(folder / "report.csv")
    assert list(report) == list(plain)
    pd.testing.assert_frame_equal(
        report.select_dtypes("number"), plain[report.select_dtypes("number").columns]
    )
    assert report["strong_policy"].tolist() == ["", "disjoint", "disjoint", ""]


def test_a_class_called_na_is_no_missing_value(evaluation, tmp_path):
    folder = write_tables(evaluation, tmp_path)
    assert "NA" in set(read_report(folder / "per_class.csv")["class_name"])


def test_what_is_no_report_or_lacks_a_column_is_a_sentence(evaluation, tmp_path):
    folder = write_tables(evaluation, tmp_path)
    report = pd.read_csv(folder / "ood.csv")
    report.drop(columns=["auroc", "n_id"]).to_csv(folder / "ood.csv", index=False)
    with pytest.raises(LpclipError, match=r"ood\.csv lacks the columns n_id, auroc"):
        read_report(folder / "ood.csv")
    report.assign(auroc="high").to_csv(folder / "ood.csv", index=False)
    with pytest.raises(LpclipError, match="column 'auroc' holds no numbers"):
        read_report(folder / "ood.csv")
    (tmp_path / "other.csv").write_text("model,x\na,1\n")
    with pytest.raises(LpclipError, match="it lacks the columns benchmark, method"):
        read_report(tmp_path / "other.csv")
    with pytest.raises(LpclipError, match=r"nowhere\.csv does not exist"):
        read_report(tmp_path / "nowhere.csv")


def test_a_text_column_of_another_version_of_a_report_stays_text(evaluation, tmp_path):
    path = write_tables(evaluation, tmp_path) / "report.csv"
    pd.read_csv(path).assign(corruption_source="generated").to_csv(path, index=False)
    table = read_report(path)
    assert table_of(table) is REPORT
    assert set(table["corruption_source"]) == {"generated"}
    assert table["corrupted_ece"].dtype == "float64"


def test_a_report_of_a_kind_to_come_is_read_by_what_is_in_it(tmp_path):
    (tmp_path / "new.csv").write_text("model,benchmark,method,what,gain\na,b,c,word,0.5\n")
    table = read_report(tmp_path / "new.csv")
    assert table["what"].tolist() == ["word"]
    assert table["gain"].tolist() == [0.5]
    assert table_of(table) is None


def test_a_report_of_before_shifts_csv_is_read():
    table = read_report(OLDER)
    assert table_of(table) is REPORT
    assert len(table.columns) == 107
    assert table["worst_corruption"].tolist() == ["glass_blur", "elastic_transform"]
    assert table.loc[1, "far_fpr95_id_pos_half_way_mcm_std"] > 0
