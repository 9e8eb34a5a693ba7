"""Reports are read with the types of their published schemas."""

import pandas as pd
import pytest
import yaml

import lpclip
from lpclip.errors import LpclipError
from lpclip.reporting.read import KINDS, kind_of, read_report
from tests.helpers import ROOT
from tests.helpers.evaluations import write_tables

SCHEMAS = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in (ROOT / "workflow/schemas/reports").glob("*.yaml")
    if path.stem != "predictions"  # an HDF5 file
}


def sample(schema):
    """Return a valid cell of a column, and an empty one if that is allowed."""
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if "string" in types:
        return "string", ["NA", ""]
    full = "7" if "integer" in types else "0.5"
    return ("integer" if "integer" in types else "number"), [full, "" if "null" in types else full]


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_every_column_has_the_type_of_its_schema(name, tmp_path):
    properties = SCHEMAS[name]["properties"]
    cells = {column: sample(schema)[1] for column, schema in properties.items()}
    pd.DataFrame(cells).to_csv(tmp_path / f"{name}.csv", index=False)
    table = read_report(tmp_path / f"{name}.csv")
    assert kind_of(table) == name
    assert list(table) == list(properties)
    for column, schema in properties.items():
        kind, (full, other) = sample(schema)
        if kind == "string":
            assert table[column].tolist() == [full, other]
        else:
            whole = pd.api.types.is_integer_dtype(table[column])
            assert whole == (kind == "integer"), column
            assert table[column].isna().tolist() == [False, other == ""]
            assert float(table[column][0]) == float(full)


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
    with pytest.raises(LpclipError, match="it lacks benchmark, method"):
        read_report(tmp_path / "other.csv")
    with pytest.raises(LpclipError, match="not a readable report"):
        read_report(tmp_path / "nowhere.csv")


def test_a_text_column_of_another_version_of_a_report_stays_text(evaluation, tmp_path):
    path = write_tables(evaluation, tmp_path) / "report.csv"
    pd.read_csv(path).assign(corruption_source="generated").to_csv(path, index=False)
    table = read_report(path)
    assert kind_of(table) == "report"
    assert set(table["corruption_source"]) == {"generated"}
    assert table["corrupted_ece"].dtype == "float64"


def test_a_report_of_a_kind_to_come_is_read_by_what_is_in_it(tmp_path):
    (tmp_path / "new.csv").write_text("model,benchmark,method,what,gain\na,b,c,word,0.5\n")
    table = read_report(tmp_path / "new.csv")
    assert table["what"].tolist() == ["word"]
    assert table["gain"].tolist() == [0.5]
    assert kind_of(table) is None


def test_each_kind_says_what_a_row_is():
    assert all(kind.rows.startswith("one row per") for kind in KINDS.values())
