"""What the documentation site adds to docs/: links, formulas, generated pages."""

import importlib.util
from types import SimpleNamespace

import pytest
import yaml

from lpclip.cli.stages import STAGES
from lpclip.cli.tools import TOOLS
from tests.helpers import ROOT

pytest.importorskip("mkdocs")


@pytest.fixture(scope="module")
def pages():
    spec = importlib.util.spec_from_file_location("site_pages", ROOT / "docs/site/pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def linked(pages, markdown, *, page="index.md", repository=""):
    files = SimpleNamespace(src_uris={"method.md": 0, "changelog.md": 0, "index.md": 0})
    of = SimpleNamespace(file=SimpleNamespace(src_uri=page))
    config = SimpleNamespace(repo_url=repository)
    return pages.on_page_markdown(markdown, page=of, config=config, files=files)


def test_links_lead_to_pages_of_the_site(pages):
    assert linked(pages, "[how](docs/method.md#results)") == "[how](method.md#results)"
    assert linked(pages, "[new](../CHANGELOG.md)", page="method.md") == "[new](changelog.md)"
    assert linked(pages, "[a](https://example.org) [b](#c)") == "[a](https://example.org) [b](#c)"


def test_links_to_other_files_lead_to_the_repository_or_nowhere(pages):
    link = "[the rules](../Snakefile)"
    there = linked(pages, link, page="method.md", repository="https://example.org/x/")
    assert there == "[the rules](https://example.org/x/blob/HEAD/Snakefile)"
    assert linked(pages, link, page="method.md") == "the rules"


def test_a_link_that_leads_nowhere_stops_the_build(pages):
    with pytest.raises(Exception, match=r"docs/absent\.md is not a file of the repository"):
        linked(pages, "[x](docs/absent.md)")


def test_code_is_left_as_it_is(pages):
    code = "```\n[x](docs/absent.md)\n```"
    assert linked(pages, code) == code


def test_formulas_become_mathml(pages):
    html = pages.on_page_content(r'<span class="arithmatex">\(w_c &lt; 1\)</span>')
    assert html.startswith("<math")
    assert "<msub>" in html


def test_every_command_is_on_its_page(pages):
    page = pages.commands()
    assert all(f"### lpclip {name}\n" in page for name in (*STAGES, *TOOLS))
    assert "usage: lpclip predict" in page


def test_every_page_is_in_the_menu(pages):
    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("", lambda *_: None)
    menu = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader)["nav"]
    listed = [
        page for part in menu for pages in part.values() for one in pages for page in one.values()
    ]
    own = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert set(listed) == own | set(pages.ELSEWHERE) | {"commands.md", "api.md"}
