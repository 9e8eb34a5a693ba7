"""The page in headless Chromium: no messages, no requests, no wider than the screen."""

import pytest

from tests.helpers.browser import CHROMIUM, browser
from tests.helpers.evaluations import small_evaluation
from tests.helpers.pages import page_of

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    long = {"id": "results/" + "a_long_name_of_a_method" * 5 + "/probes.h5"}
    page = page_of(small_evaluation(), folder, run=long)
    (folder / "report.html").write_text(page, encoding="utf-8")
    with browser(folder / "profile") as opened:
        opened.open((folder / "report.html").as_uri())
        yield opened


def test_no_request_leaves_the_page_and_the_console_is_silent(tab):
    outside = [url for url in tab.requests() if not url.startswith("data:")]
    assert [url.rpartition("/")[2] for url in outside] == ["report.html"]
    assert tab.messages() == []
    assert tab.evaluate("document.querySelectorAll('table').length") > 3


@pytest.mark.parametrize("width", [360, 800, 1280])
def test_tables_scroll_in_their_frames_and_the_page_does_not(tab, width):
    tab.look(width=width, phone=width < 500)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_text_contrasts_with_its_background_in_light_and_dark(tab):
    luminance = """
        (() => {
          const canvas = document.createElement("canvas").getContext("2d");
          const light = (colour) => {
            canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
            const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map(v => {
              v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
            });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const paper = light(getComputedStyle(document.body).backgroundColor);
          const ratios = [...document.querySelectorAll("p, td, th, small, li, a, figcaption")]
            .filter(e => !e.closest(".heat, .skip"))
            .map(e => light(getComputedStyle(e).color))
            .map(l => (Math.max(l, paper) + 0.05) / (Math.min(l, paper) + 0.05));
          return [paper, Math.min(...ratios)];
        })()
    """
    tab.look(width=1280)
    light_paper, light_ratio = tab.evaluate(luminance)
    tab.look(width=1280, dark=True)
    dark_paper, dark_ratio = tab.evaluate(luminance)
    assert light_paper > 0.8 > 0.1 > dark_paper
    assert min(light_ratio, dark_ratio) >= 4.5
