"""docs/columns.md is what the tables of columns give."""

from lpclip.columns.registry import DOCUMENTED
from lpclip.reporting.columns_page import columns_page
from tests.helpers import ROOT

COMMAND = "python -m lpclip.reporting.columns_page docs/columns.md"


def test_the_page_is_not_stale():
    page = (ROOT / "docs/columns.md").read_text(encoding="utf-8")
    assert page == columns_page(), f"stale; run: {COMMAND}"
    assert COMMAND in page


def test_every_column_is_on_the_page():
    sections = columns_page().split("\n## ")[1:]
    for section, table in zip(sections, DOCUMENTED.values(), strict=True):
        assert section.startswith(f"{table.name}.")
        ends = ("_std", "_low", "_high")
        alone = [name for name in table.names if not name.endswith(ends)]
        assert all(f"| `{name}`" in section for name in alone)
