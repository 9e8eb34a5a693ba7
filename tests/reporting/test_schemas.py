"""Every report has exactly the columns of its published schema."""

import csv
import re

import pytest
import yaml
from jsonschema import Draft202012Validator

from lpclip.reporting.evaluation_tables import COLUMNS
from tests.helpers import ROOT
from tests.helpers.evaluations import small_evaluation, write_tables

SCHEMAS = ROOT / "workflow" / "schemas" / "reports"
NAMES = ["report", *COLUMNS]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return write_tables(small_evaluation(), tmp_path_factory.mktemp("reports"))


def load(name):
    return yaml.safe_load((SCHEMAS / f"{name}.yaml").read_text(encoding="utf-8"))


def parsed(cell, schema):
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if "string" in types:
        return cell
    if cell == "":
        return None
    return int(cell) if "integer" in types else float(cell)


def schema_of(column, schema):
    if column in schema["properties"]:
        return schema["properties"][column]
    patterns = schema.get("patternProperties", {})
    return next(found for pattern, found in patterns.items() if re.search(pattern, column))


def test_there_is_one_schema_per_report():
    assert sorted(path.stem for path in SCHEMAS.glob("*.yaml")) == sorted(
        [*NAMES, "guard", "predictions", "skipped"]
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_column_is_documented(name):
    schema = load(name)
    Draft202012Validator.check_schema(schema)
    assert schema["required"] == list(schema["properties"])
    for column in (schema["properties"] | schema.get("patternProperties", {})).values():
        assert column["description"].endswith(".")


@pytest.mark.parametrize("name", sorted(COLUMNS))
def test_the_columns_that_are_read_are_those_of_the_schema(name):
    kinds = {"text": "string", "integer": "integer", "number": "number", "count": "integer"}
    properties = load(name)["properties"]
    assert list(COLUMNS[name]) == list(properties)
    for column, kind in COLUMNS[name].items():
        assert kinds[kind] in properties[column]["type"]


@pytest.mark.parametrize("name", NAMES)
def test_written_reports_validate(name, results):
    schema = load(name)
    validator = Draft202012Validator(schema)
    with (results / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert [column for column in rows[0] if column in schema["properties"]] == schema["required"]
    for row in rows:
        validator.validate({c: parsed(cell, schema_of(c, schema)) for c, cell in row.items()})
    assert not validator.is_valid({"model": "tiny"})
