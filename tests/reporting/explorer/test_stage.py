"""What the page of the explorer holds, and what is left out where it would be too large."""

import base64
import json
import re
from hashlib import sha256

import numpy as np
import pytest

from lpclip.errors import LpclipError
from lpclip.evaluation.common import round_logits
from lpclip.reporting.explorer import stage
from lpclip.reporting.explorer.assets import LIBRARY
from lpclip.reporting.explorer.stage import explorer
from lpclip.storage.features import read_features
from lpclip.storage.layout import read_layout
from lpclip.storage.probes import read_probes
from lpclip.storage.samples import read_samples
from tests.helpers.explored import MODEL, NAMES, SETS, write_explored


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explored")
    return folder, write_explored(folder)


@pytest.fixture
def page(written, tmp_path):
    def made(**changes):
        explorer(**{**written[1], **changes}, output=tmp_path / "explorer.html")
        return (tmp_path / "explorer.html").read_text(encoding="utf-8")

    return made


def block(text, name):
    return json.loads(re.search(f'id="{name}">(.*?)</script>', text, re.DOTALL).group(1))


def array(stored):
    types = {"Int16Array": "<i2", "Int32Array": "<i4", "Uint16Array": "<u2", "Float32Array": "<f4"}
    return np.frombuffer(base64.b64decode(stored["data"]), types[stored["type"]])


def test_predictions_are_those_of_the_probes_on_the_features_of_each_image(written, page):
    folder, _ = written
    pair = block(page(), "pair-0")
    layout, _ = read_layout(folder / "layout.h5")
    heads, _ = read_probes(folder / "learned.h5")
    for number, _ in enumerate(heads.weight[1:], start=1):
        stored = pair["methods"][1]["rounds"][number - 1]
        assert stored["number"] == number
        expected = []
        for place, name in enumerate(SETS):
            values = read_features(folder / f"{name}.h5", "clean", expected=MODEL)
            ((_, logits),) = round_logits(heads, values, number, 0)
            own = layout.points[layout.points["dataset"] == place]["row"]
            expected.append(logits.argmax(axis=1)[own])
        np.testing.assert_array_equal(array(stored["prediction"]), np.concatenate(expected))
    assert (array(pair["zeroShot"]["rounds"][0]["prediction"]) != np.concatenate(expected)).any()
    top = array(pair["methods"][1]["top"]).reshape(-1, len(NAMES))
    np.testing.assert_array_equal(top[:, 0], np.concatenate(expected))
    shares = array(pair["methods"][1]["topShares"]).reshape(top.shape)
    assert np.abs(shares.sum(axis=1) - 65535.0).max() <= len(NAMES)


def test_labels_are_shown_of_sets_whose_index_is_given_and_of_no_other(written, page):
    folder, arguments = written
    labels = array(block(page(), "pair-0")["label"])
    truth = read_samples(folder / "test_samples.h5", labels=True)["label"].to_numpy()
    rows = read_layout(folder / "layout.h5")[0].points["row"].to_numpy()
    n = SETS["pool"]
    np.testing.assert_array_equal(labels[n : n + SETS["test"]], truth[rows[n : n + SETS["test"]]])
    assert (labels[:n] == -1).all()
    assert (labels[n + SETS["test"] :] == -1).all()
    without = array(block(page(samples=arguments["samples"][:1]), "pair-0")["label"])
    assert (without == -1).all()


def test_no_text_of_the_data_ends_a_script(page):
    text = page()
    assert "<b>cow" not in text
    assert "\u2028" not in text
    assert block(text, "pair-0")["classes"] == list(NAMES)


def test_the_page_refers_to_nothing_outside(page):
    text = page()
    assert re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', text) == []
    assert "@import" not in text


def test_fewer_points_are_a_part_of_more_and_keep_the_neighbours_among_them(page):
    whole, few = (block(page(points=n), "pair-0") for n in (120, 30))
    assert [one["points"] for one in few["datasets"]] == [10, 10, 10]
    assert [one["images"] for one in few["datasets"]] == list(SETS.values())
    starts = np.cumsum([0, *[one["points"] for one in whole["datasets"]]])
    kept = np.concatenate([np.arange(start, start + 10) for start in starts[:-1]])
    k = whole["nNeighbours"]
    before, after = (array(one["neighbours"]).reshape(-1, k) for one in (whole, few))
    places = {row: place for place, row in enumerate(kept)}
    expected = [[places.get(one, -1) for one in row] for row in before[kept]]
    np.testing.assert_array_equal(after, expected)
    assert (after >= 0).any()


def test_pictures_and_points_are_thinned_out_where_they_would_be_too_large(page, monkeypatch):
    assert [one["pictures"] for one in block(page(), "about")["datasets"]] == list(SETS.values())
    monkeypatch.setattr(stage, "MOST_PICTURES", 10_000)
    pictures = [one["pictures"] for one in block(page(), "about")["datasets"]]
    assert 0 in pictures
    assert pictures != [0, 0, 0]
    monkeypatch.setattr(stage, "MOST_NUMBERS", 4_000)
    text = page()
    n = sum(one["points"] for one in block(text, "pair-0")["datasets"])
    assert 0 < n < 60


def test_without_thumbnails_there_are_no_pictures(page):
    text = page(thumbnails=[])
    assert {one["pictures"] for one in block(text, "about")["datasets"]} == {0}
    assert 'id="sheet-' not in text


def test_features_that_are_missing_are_named(written, page):
    with pytest.raises(LpclipError, match="No features of the dataset 'far' with model noise"):
        page(features=written[1]["features"][:2])
    with pytest.raises(LpclipError, match="no probes of animals"):
        page(probes=[])


def test_equal_inputs_give_equal_bytes(page):
    assert page() == page()


def test_the_library_is_the_one_that_is_described():
    described = (LIBRARY.parent / "README.md").read_text(encoding="utf-8")
    assert sha256(LIBRARY.read_bytes()).hexdigest() in described
