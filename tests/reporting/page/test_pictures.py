"""Pictures are the right images, encoded as text for the page."""

import base64
import io
import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from lpclip.data.registry import open_source
from lpclip.errors import LpclipError
from lpclip.methods.training.rounds import Round, rounds_table
from lpclip.reporting.page.gallery import read_pictures
from lpclip.reporting.page.pictures import PER_ROW, pictures
from lpclip.storage.features import read_features, write_features
from lpclip.storage.hdf5 import create
from lpclip.storage.probes import Probes, write_probes
from lpclip.storage.samples import fingerprint
from lpclip.storage.tables import write_table
from lpclip.transforms.corruptions.registry import corrupt
from lpclip.utils.rng import keys

SOURCE = {"kind": "digits", "split": "test"}
NAMES = tuple(f"digit {index}" for index in range(10))
MODEL = {"model": "tiny", "weights": "77c1"}
PREPROCESSING = {
    "size": 32, "mode": "RGB", "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic",
    "resize_mode": "shortest", "fill_color": 0,
}  # fmt: skip
N, D = 80, 12


def pixels_of(text):
    kind, _, data = text.partition(";base64,")
    assert kind == "data:image/png"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    table = pd.DataFrame(open_source("digits", {"split": "test"}).samples()[:N])
    index = fingerprint(table)
    provenance = {
        "dataset": "test", "class_names": json.dumps(NAMES), "index": index,
        "source": json.dumps(SOURCE),
    }  # fmt: skip
    with create(folder / "samples.h5", kind="samples", provenance=provenance) as file:
        write_table(file, "samples", table)
    common = {
        **MODEL, "dataset": "test", "index": index, "seed": 3,
        "preprocessing": json.dumps(PREPROCESSING),
    }  # fmt: skip
    values = np.eye(10, D)[table["label"]] + 0.3 * random.normal(size=(N, D))
    for name, views, versions in (
        ("clean", {"clean": {}}, {"clean": 0}),
        ("weather", {"fog": {"parameters": "auto", "severities": [2, 5]}}, {"fog": 2}),
    ):
        write_features(
            folder / f"{name}.h5",
            samples=table,
            versions=versions,
            parts=[np.stack([values] * max(1, *versions.values())).astype(np.float16)],
            provenance={**common, "views": json.dumps(views)},
        )
    weight = np.eye(10, D) + 0.4 * random.normal(size=(2, 1, 10, D))
    for method, kind in (("zero_shot", "zero_shot"), ("lp_clip", "self_training")):
        probes = Probes(
            weight=weight.astype(np.float32),
            bias=np.zeros((2, 1, 10), np.float32),
            scale=8.0,
            class_names=NAMES,
            seeds=(0,),
            rounds=rounds_table([Round(0, 0), Round(1, 0)]),
        )
        names = {**MODEL, "benchmark": "digits", "method": method, "method_kind": kind}
        write_probes(folder / f"{method}.h5", probes, names)
    pictures(
        probes=[folder / "zero_shot.h5", folder / "lp_clip.h5"],
        features=[folder / "clean.h5", folder / "weather.h5"],
        samples=folder / "samples.h5",
        output=folder / "pictures.json",
        source=SOURCE,
    )
    values = read_features(folder / "clean.h5", "clean", expected=MODEL)
    right = (values @ weight[:, 0].transpose(0, 2, 1)).argmax(-1) == table["label"].to_numpy()
    return folder, table, right, read_pictures(folder / "pictures.json")


def test_a_method_s_fixed_and_broken_images_are_shown_the_largest_change_first(made):
    _, table, (was, now), found = made
    (change,) = found["changes"]  # zero-shot is not compared with itself
    assert change["method"] == "lp_clip"
    ids = table["id"].to_numpy()
    for key, expected, sign in (("fixed", ~was & now, 1), ("broken", was & ~now, -1)):
        shown = [image["id"] for image in change[key]]
        assert len(shown) == min(PER_ROW, expected.sum()) > 0
        assert set(shown) <= set(ids[expected])
        assert change[f"n_{key}"] == expected.sum()
        assert set(change[f"{key}_paths"]) == set(table["path"][expected])
        assert change[f"{key}_paths"][: len(shown)] == [image["path"] for image in change[key]]
        changes = [sign * (image["after"] - image["before"]) for image in change[key]]
        assert changes == sorted(changes, reverse=True)
    for image in change["fixed"]:
        assert image["label"] == image["prediction"] != image["zero_shot"]


def test_a_picture_is_the_image_of_the_source(made):
    _, table, _, found = made
    image = found["changes"][0]["fixed"][0]
    path = table.set_index("id").loc[image["id"], "path"]
    source = open_source("digits", {"split": "test"})
    assert np.array_equal(pixels_of(image["image"]), np.asarray(source.read(path)))


def test_corruptions_are_drawn_as_they_were_for_the_cache(made):
    _, table, _, found = made
    (example,) = found["examples"]
    assert (example["name"], list(example["images"])) == ("fog", ["2", "5"])
    clean = torch.tensor(pixels_of(found["clean"])).permute(2, 0, 1)[None] / 255
    for severity in (2, 5):
        drawn = corrupt(
            clean, name="fog", severity=severity, parameters="cifar",
            keys=keys(3, [table["id"][0]], f"fog/{severity}"),
        )  # fmt: skip
        expected = (drawn[0] * 255).round().permute(1, 2, 0).numpy()
        assert np.array_equal(pixels_of(example["images"][str(severity)]), expected)


def test_published_corruptions_are_shown_as_they_are_in_their_files(made, tmp_path):
    folder, table, *_ = made
    files = tmp_path / "c"
    files.mkdir()
    labels = table["label"].to_numpy()
    versions = np.random.default_rng(0).integers(256, size=(5 * N, 32, 32, 3), dtype=np.uint8)
    np.save(files / "snow.npy", versions)
    np.save(files / "labels.npy", np.tile(labels, 5))
    source = {"kind": "cifar_c", "root": str(files)}
    samples = pd.DataFrame(open_source("cifar_c", {"root": str(files)}).samples())[["id", "path"]]
    write_features(
        tmp_path / "weather.h5",
        samples=samples.iloc[7:],  # the first of these is in the gallery
        versions={"snow": 5},
        parts=[np.ones((5, N - 7, D), np.float16)],
        provenance={
            **MODEL, "dataset": "c", "index": fingerprint(samples.iloc[7:]), "seed": 3,
            "preprocessing": json.dumps(PREPROCESSING),
            "views": json.dumps({"snow": {"official": True, "severities": [1, 2, 3, 4, 5]}}),
        },
    )  # fmt: skip
    pictures(
        probes=[folder / "lp_clip.h5"],
        features=[folder / "clean.h5", folder / "weather.h5", tmp_path / "weather.h5"],
        output=tmp_path / "pictures.json",
        source=SOURCE,
        official_source=source,
    )
    found = read_pictures(tmp_path / "pictures.json")
    assert [example["name"] for example in found["examples"]] == ["fog"]
    (example,) = found["official_examples"]
    assert example["name"] == "snow"
    for severity in range(1, 6):
        expected = versions[(severity - 1) * N + 7]
        assert np.array_equal(pixels_of(example["images"][str(severity)]), expected)


def test_without_labels_only_the_corruptions_are_shown(made, tmp_path):
    folder, *_ = made
    pictures(
        probes=[folder / "lp_clip.h5"],
        features=[folder / "clean.h5", folder / "weather.h5"],
        output=tmp_path / "pictures.json",
        source=SOURCE,
    )
    found = read_pictures(tmp_path / "pictures.json")
    assert found["changes"] == []
    assert len(found["examples"]) == 1


@pytest.mark.parametrize(
    "image", ["https://example.org/x.png", "data:image/svg+xml;base64,AAAA", "data:text/html,x"]
)
def test_a_page_takes_no_other_image_than_one_within_the_file(made, tmp_path, image):
    _, _, _, found = made
    (tmp_path / "wild.json").write_text(json.dumps({**found, "clean": image}))
    with pytest.raises(LpclipError, match="no PNG or JPEG within the file"):
        read_pictures(tmp_path / "wild.json")


def test_a_large_image_becomes_a_small_jpeg():
    from lpclip.reporting.page.pictures import picture

    random = np.random.default_rng(0).integers(255, size=(300, 500, 3)).astype(np.uint8)
    kind, _, data = picture(Image.fromarray(random)).partition(";base64,")
    assert kind == "data:image/jpeg"
    assert max(Image.open(io.BytesIO(base64.b64decode(data))).size) == 96
