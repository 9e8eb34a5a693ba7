"""The explorer in headless Chromium without a GPU: pick, filter, select, keys, download."""

import csv

import pytest

from tests.helpers.browser import CHROMIUM, OPTIONS, WEBGL, browser
from tests.helpers.explored import SETS, explored_page

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

READY = "document.documentElement.dataset.ready || ''"
ALL_ARE = "[...document.querySelectorAll('#rows .change')].every(c => c.innerText === '{}')"
IDLE = "document.querySelector('main').ariaBusy === 'false'"
N = sum(SETS.values())


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return explored_page(tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="module")
def opened(page):
    options = (*(one for one in OPTIONS if one != "--disable-gpu"), *WEBGL)
    with browser(page.parent / "profile", options=options) as tab:
        tab.look(width=1280)
        tab.open(page.as_uri())
        tab.wait(READY)
        downloads = {"behavior": "allow", "downloadPath": str(page.parent), "eventsEnabled": True}
        tab.call("Page.setDownloadBehavior", **{k: downloads[k] for k in list(downloads)[:2]})
        yield tab


@pytest.fixture
def tab(opened):
    """The page as it is when it is opened."""
    opened.look(width=1280)
    opened.evaluate("""(() => {
        document.getElementById('reset').click();
        document.getElementById('clear').disabled = false;
        document.getElementById('clear').click();
        for (const [id, value] of [['method', '1'], ['colour', 'label'], ['base', 'zero']]) {
            document.getElementById(id).value = value;
        }
        document.getElementById('method').onchange();
        document.querySelector('[data-mode=panZoom]').click();
    })()""")
    opened.wait(IDLE)
    return opened


def text(tab, selector):
    return tab.evaluate(f"document.querySelector({selector!r}).textContent")


def choose(tab, name, value):
    """Choose an entry of a menu as a person does."""
    tab.evaluate(f"""(() => {{ const field = document.getElementById({name!r});
        field.value = {str(value)!r}; field.dispatchEvent(new Event('change')); }})()""")


def rows(tab):
    return tab.evaluate("""[...document.querySelectorAll('#rows tr')].map(
        row => [...row.children].slice(1).map(cell => cell.textContent))""")


def centre(tab):
    return tab.evaluate("""(() => { const box = document.getElementById('map')
        .getBoundingClientRect(); return [box.x, box.y, box.width, box.height]; })()""")


def drag(tab, start, end):
    tab.mouse("mouseMoved", *start)
    tab.mouse("mousePressed", *start, button="left", clickCount=1)
    for step in range(1, 9):
        place = [a + (b - a) * step / 8 for a, b in zip(start, end, strict=True)]
        tab.mouse("mouseMoved", *place, button="left", buttons=1)
        tab.evaluate("1")
    tab.mouse("mouseReleased", *end, button="left", clickCount=1)


def messages(tab):
    """Return what the page reports; drivers remark that software reads pixels slowly."""
    return [one for one in tab.messages() if one.get("entry", {}).get("source") != "rendering"]


def test_nothing_is_requested_and_the_console_is_silent(tab):
    outside = [url for url in tab.requests() if not url.startswith(("data:", "blob:"))]
    assert [url.rpartition("/")[2] for url in outside] == ["explorer.html"]
    assert messages(tab) == []
    assert tab.evaluate("document.getElementById('no-map').hidden")


def test_filters_change_the_table_and_the_count(tab):
    choose(tab, "set", 1)
    tab.wait(f"document.getElementById('status').textContent === '60 of {N} shown'")
    assert {row[0] for row in rows(tab)} == {"test"}
    choose(tab, "change", 1)
    tab.wait(ALL_ARE.format("fixed"))
    found = rows(tab)
    assert found
    assert all(row[2] == row[3] != row[5] for row in found)  # class, prediction, zero-shot
    choose(tab, "change", 2)
    tab.wait(ALL_ARE.format("broken"))
    assert all(row[2] == row[5] != row[3] for row in rows(tab))


def test_a_confusion_lists_the_images_of_one_class_that_are_taken_for_another(tab):
    name = tab.evaluate("document.getElementById('confusion').options[1].textContent")
    choose(tab, "confusion", tab.evaluate("document.getElementById('confusion').options[1].value"))
    own, _, rest = name.partition(" as ")
    other, _, count = rest.rpartition(" (")
    tab.wait(f"document.querySelectorAll('#rows tr').length === {int(count.rstrip(')'))}")
    assert {(row[2], row[3]) for row in rows(tab)} == {(own, other)}


def test_guard_doubts_are_images_whose_class_the_method_changed(tab):
    tab.evaluate("document.getElementById('doubts').click()")
    tab.wait(f"!document.getElementById('status').textContent.startsWith('{N} ')")
    found = rows(tab)
    assert found
    assert all(row[3] != row[5] for row in found)


def test_rows_are_sorted_by_a_column_and_in_the_other_order(tab):
    button = (
        "[...document.querySelectorAll('#head button')].find(b => b.textContent === 'Confidence')"
    )
    tab.evaluate(f"{button}.click()")
    up = [float(row[4]) for row in rows(tab)]
    assert up == sorted(up)
    tab.evaluate(f"{button}.click()")
    down = [float(row[4]) for row in rows(tab)]
    assert down == sorted(down, reverse=True)
    assert down[0] > up[0]


def test_a_row_is_reached_and_pinned_by_keys(tab):
    tab.evaluate("document.querySelector('#rows tr').focus()")
    tab.key("ArrowDown")
    tab.key("Enter")
    path = rows(tab)[1][1]
    assert text(tab, "#details h2") == path
    assert tab.evaluate("document.activeElement.getAttribute('aria-current')") == "true"
    neighbours = tab.evaluate("document.querySelectorAll('#details .near button').length")
    assert neighbours == 8
    tab.evaluate("document.querySelector('#details .near button').click()")
    assert text(tab, "#details h2") != path


def test_keys_move_on_the_map_from_image_to_image(tab):
    tab.evaluate("document.getElementById('map').focus()")
    tab.key("ArrowRight")
    first = text(tab, "#tip strong")
    tab.key("ArrowRight")
    second = text(tab, "#tip strong")
    assert first != second
    assert text(tab, "#reached").startswith(second)  # for screen readers
    tab.key("Enter")
    assert text(tab, "#details h2") == second
    tab.key("Escape")
    assert text(tab, "#details h2") == "No image is pinned"


def test_a_box_selects_and_the_table_and_the_download_follow(tab, page):
    tab.evaluate("document.querySelector('[data-mode=box]').click()")
    x, y, width, height = centre(tab)
    drag(tab, (x + 0.2 * width, y + 0.1 * height), (x + 0.55 * width, y + 0.9 * height))
    status = tab.wait(
        "(s => s.includes('selected') && s)(document.getElementById('status').textContent)"
    )
    n = int(status.split()[0])
    assert 0 < n < N
    choose(tab, "set", 1)
    tab.wait("document.getElementById('status').textContent.endsWith('of 60 shown')")
    kept = int(text(tab, "#status").split()[0])
    assert kept < n
    tab.evaluate("document.getElementById('download').click()")
    target = page.parent / "animals_noise_learned.csv"
    while not target.is_file():
        tab.evaluate("1")
    with target.open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert len(found) == kept
    assert {row["dataset"] for row in found} == {"test"}
    listed = {row[1] for row in rows(tab)}
    assert {row["path"] for row in found} >= listed
    assert {row["round"] for row in found} == {"3"}


def test_a_finger_selects_on_a_phone(tab):
    tab.look(width=390, phone=True)
    tab.call("Emulation.setTouchEmulationEnabled", enabled=True)
    tab.evaluate("document.querySelector('[data-mode=lasso]').click()")
    x, y, width, height = centre(tab)
    corners = ((0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8), (0.2, 0.3))
    places = [{"x": x + a * width, "y": y + b * height} for a, b in corners]
    tab.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=places[:1])
    for place in places[1:]:
        tab.call("Input.dispatchTouchEvent", type="touchMove", touchPoints=[place])
    tab.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    tab.call("Emulation.setTouchEmulationEnabled", enabled=False)
    tab.wait("document.getElementById('status').textContent.includes('selected')")
    assert 10 < int(text(tab, "#status").split()[0]) < N


def test_a_click_on_a_point_pins_it(tab):
    tab.evaluate("document.querySelector('#rows tr').click()")
    pinned = text(tab, "#details h2")
    x, y, width, height = centre(tab)
    # The map is searched for a point, as a hand does.
    for step in range(1, 400):
        place = (
            x + width * (0.25 + 0.5 * (step % 40) / 40),
            y + height * (0.2 + 0.06 * (step // 40)),
        )
        tab.mouse("mouseMoved", *place)
        if not tab.evaluate("document.getElementById('tip').hidden"):
            break
    name = text(tab, "#tip strong")
    assert tab.evaluate("document.querySelectorAll('#tip .top li').length") > 0
    tab.wait("document.querySelectorAll('#tip .row .picture').length === 8")
    tab.mouse("mousePressed", *place, button="left", clickCount=1)
    tab.mouse("mouseReleased", *place, button="left", clickCount=1)
    tab.wait(f"document.querySelector('#details h2').textContent === {name!r}")
    assert name != pinned


@pytest.mark.parametrize("width", [360, 390, 768, 1400])
def test_the_page_is_no_wider_than_the_screen(tab, width):
    tab.look(width=width, phone=width < 500)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    box = "document.getElementById('canvas').getBoundingClientRect().width"
    assert 200 < tab.evaluate(box) <= width
    tab.wait(f"Math.abs(document.getElementById('canvas').width - {box}) < 1")  # it is redrawn


def test_every_colouring_has_a_legend(tab):
    for value in tab.evaluate("[...document.getElementById('colour').options].map(o => o.value)"):
        tab.evaluate("document.getElementById('legend').replaceChildren()")
        choose(tab, "colour", value)
        assert tab.wait("document.getElementById('legend').textContent"), value
    assert messages(tab) == []


def test_without_webgl_the_table_and_filters_work(page):
    options = (*OPTIONS, "--disable-3d-apis")
    with browser(page.parent / "other", options=options) as tab:
        tab.open(page.as_uri())
        tab.wait(READY)
        assert not tab.evaluate("document.getElementById('no-map').hidden")
        choose(tab, "set", 2)
        tab.wait(f"document.getElementById('status').textContent === '20 of {N} shown'")
        tab.evaluate("document.querySelector('#rows tr').click()")
        assert text(tab, "#details h2") == rows(tab)[0][1]
