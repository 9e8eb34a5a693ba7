"""HTML pages of a small evaluation."""

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

from lpclip.reporting.methods import Methods
from lpclip.reporting.page.render import render
from lpclip.reporting.page.tables import read_tables
from tests.helpers.evaluations import write_tables

RUN = {
    "id": "", "about": "", "spent": "", "durations": [],
    "models": [], "versions": [("lpclip", "1.0")], "configuration": "",
    "skipped": [], "skipped_columns": [], "n_skipped": "0",
}  # fmt: skip


def page_of(evaluation, folder, *, guard=None, pools=None, pictures=None, run=None, sweep=None):
    """Write the page and return it as text; ``sweep`` is the path of a sweep.csv."""
    results = write_tables(evaluation, folder)
    return render(
        read_tables([*sorted(results.glob("*.csv")), *([sweep] if sweep else [])]),
        Methods(evaluation.methods),
        guard=guard or {},
        pools=pools or {},
        pictures=pictures or {},
        run=RUN | (run or {}),
    )


def text_of(page):
    """Return the page's text with collapsed whitespace."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.partition("<body>")[2]))


def drawings(page):
    """Parse every SVG element of the page; raise an error for invalid XML."""
    found = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    return [
        ET.fromstring(svg.replace("<svg", '<svg xmlns:xlink="http://www.w3.org/1999/xlink"', 1))
        for svg in found
    ]


def attributes_of(page):
    """Return the names of all attributes of all elements."""
    names = set()

    class Parser(HTMLParser):
        def handle_starttag(self, _tag, attrs):
            names.update(name for name, _ in attrs)

    Parser().feed(page)
    return names
