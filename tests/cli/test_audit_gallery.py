"""The page of images to label: self-contained, escaped, and its file is read back."""

import json
import re
import shutil
import subprocess
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from lpclip.cli.audit import COLUMNS, audit_of, disagreements, read_labels
from lpclip.cli.audit_gallery import write_gallery
from lpclip.data.index import index_samples
from lpclip.errors import LpclipError
from tests.helpers.audits import write_audited

NODE = shutil.which("node")
# A document with the elements that the script of the page uses.
DOCUMENT = """{
const images = JSON.parse(process.argv[2]).map(({ checked, ...dataset }) => ({
  dataset,
  classList: { toggle() {} },
  querySelector: () => (checked === null ? null : { value: checked }),
}));
const state = {};
const heard = {};
const form = {
  dataset: JSON.parse(process.argv[3]),
  querySelectorAll: () => images,
  addEventListener: (name, what) => (heard[name] = what),
};
globalThis.document = {
  getElementById: (name) => ({ form, state })[name],
  createElement: () => ({ click() {} }),
};
globalThis.window = { addEventListener() {} };
globalThis.URL = { createObjectURL: (blob) => blob, revokeObjectURL() {} };
globalThis.setTimeout = () => {};
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audited")
    write_audited(folder)
    return folder


@pytest.fixture(scope="module")
def audit(folder):
    return disagreements(probes=folder / "probes.h5", features=folder / "clean.h5")


@pytest.fixture(scope="module")
def page(folder, audit):
    assert write_gallery(audit, folder / "a.html", samples=folder / "samples.h5", n=12) == 12
    return (folder / "a.html").read_text(encoding="utf-8")


class Elements(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def of(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


def test_the_page_shows_the_images_of_the_list_in_its_order(page, audit):
    elements = Elements(page)
    assert len(elements.of("img")) == 12
    assert all(re.match(r"data:image/png;base64,", one["src"]) for one in elements.of("img"))
    for given, row in zip(elements.of("fieldset"), audit.rows[:12], strict=True):
        assert {name: given[f"data-{name.replace('_', '-')}"] for name in row} == row
        assert given["data-audit"] == audit.made_from
    choices = {row["order"]: [] for row in audit.rows[:12]}
    for one in elements.of("input"):
        assert one["type"] == "radio"
        choices[one["name"].removeprefix("image-")].append(one["value"])
    for row in audit.rows[:12]:
        # In alphabetical order: nobody sees which of the two is zero-shot's.
        assert choices[row["order"]] == [*sorted({row["zero_shot"], row["head"]}), "other"]


def test_the_page_needs_no_network_and_names_of_classes_are_no_markup(page):
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    for tag, attributes in Elements(page).found:
        for name in ("src", "href"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, value)
    assert not re.search(r"(?<!xmlns=\")https?://", page)
    assert "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_no_script_but_that_of_the_page_may_run(page):
    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    given = b64encode(sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{given}';" in page
    assert not [name for _, one in Elements(page).found for name in one if name.startswith("on")]


def test_every_field_has_a_name_and_can_be_reached_by_the_keyboard(page):
    assert page.count("<legend>Image ") == 12
    assert len(re.findall(r"<label><input [^>]*><span>", page)) == 36
    assert 'type="submit"' in page
    assert 'tabindex="-1"' not in page


@pytest.mark.skipif(NODE is None, reason="no node, which runs the script of the page")
def test_the_file_that_the_page_saves_is_read_back(page, audit, folder, tmp_path):
    elements = Elements(page)
    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    images = []
    for number, given in enumerate(elements.of("fieldset")):
        row = audit.rows[number]
        dataset = {
            re.sub(r"-(.)", lambda found: found[1].upper(), name.removeprefix("data-")): value
            for name, value in given.items()
        }
        checked = (row["head"], row["zero_shot"], "other")[number % 3] if number < 7 else None
        images.append({**dataset, "checked": checked})
    (form,) = elements.of("form")
    data = {"columns": form["data-columns"], "file": form["data-file"]}
    code = DOCUMENT + script + "\nprocess.stdout.write(JSON.stringify([csv(), state.textContent]));"
    (tmp_path / "page.js").write_text(code)
    command = [NODE, tmp_path / "page.js", json.dumps(images), json.dumps(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    text, state = json.loads(done.stdout)
    assert state == "7 of 12 labelled."
    assert data["columns"].split() == list(COLUMNS)
    (tmp_path / "saved.csv").write_text(text, encoding="utf-8")
    files = {"probes": folder / "probes.h5", "features": folder / "clean.h5"}
    found = read_labels(audit_of(tmp_path / "saved.csv", **files), tmp_path / "saved.csv")
    assert (found.wins, found.losses, found.neither) == (3, 2, 2)


def test_what_has_no_images_has_no_page(folder, audit, tmp_path):
    source = {"kind": "features", "path": str(folder / "clean.h5")}
    index_samples(output=tmp_path / "samples.h5", dataset="features", source=source)
    for samples, output, sentence in (
        (tmp_path / "samples.h5", "a.html", "lists precomputed features, no images"),
        (None, "a.html", "--gallery needs --samples"),
        (folder / "clean.h5", "a.html", "is a feature cache of lpclip, not an index of images"),
        (folder / "samples.h5", "a.csv", "does not end in .html"),
    ):
        with pytest.raises(LpclipError, match=sentence):
            write_gallery(audit, tmp_path / output, samples=samples, n=2)
