"""docs/configuration.md is what the schema gives, and has every key."""

from lpclip.config.json_schema import json_schema
from lpclip.config.reference_page import reference_page
from tests.helpers import ROOT

COMMAND = "python -m lpclip.config.reference_page docs/configuration.md"


def test_the_page_is_not_stale():
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    assert page == reference_page(), f"stale; run: {COMMAND}"
    assert COMMAND in page


def _keys(schema):
    for name, one in schema.get("properties", {}).items():
        if "const" not in one and name != "kind":
            yield name
            yield from _keys(one)
    for case in schema.get("allOf", ()):
        yield from _keys(case["then"])
    for inside in (schema.get("additionalProperties"), schema.get("items")):
        if isinstance(inside, dict):
            yield from _keys(inside)


def test_every_key_is_on_the_page():
    page = reference_page()
    sections = json_schema(sweeps=False)["properties"]
    for name, schema in sections.items():
        assert f"\n## {name}\n" in page
        for key in _keys(schema):
            assert f".{key}` |" in page or f"| `{key}` |" in page, (name, key)


def test_settings_of_a_source_are_described_by_its_docstring():
    assert "| `exclude` | list of texts | `[]` | folders of the first level to leave out. |" in (
        reference_page()
    )
