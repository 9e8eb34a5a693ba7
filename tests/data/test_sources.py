"""The same images through every kind of source."""

import io
import tarfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lpclip.data.registry import open_source

IMAGES = np.random.default_rng(0).integers(256, size=(12, 17, 23, 3), dtype=np.uint8)
LABELS = np.arange(12) % 3
NAMES = ["ant", "bee", "cat"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("sources")
    rows = []
    with tarfile.open(root / "images.tar", "w") as archive:
        for row, (image, label) in enumerate(zip(IMAGES, LABELS, strict=True)):
            path = root / "folder" / NAMES[label] / f"{row:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
            rows.append({"path": str(path.relative_to(root)), "label": NAMES[label]})
            for name, data in (("png", path.read_bytes()), ("cls", str(label).encode())):
                info = tarfile.TarInfo(f"{row:02d}.{name}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    pd.DataFrame(rows).to_csv(root / "table.csv", index=False)
    pd.DataFrame(rows).to_parquet(root / "table.parquet")
    np.savez(root / "images.npz", images=IMAGES, labels=LABELS)
    np.save(root / "images.npy", IMAGES)
    np.save(root / "labels.npy", LABELS)
    return root


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("folder", {"root": "folder"}),
        ("table", {"path": "table.csv", "label_column": "label"}),
        ("table", {"path": "table.parquet", "label_column": "label"}),
        ("webdataset", {"shards": "images.tar", "label": "cls", "class_names": NAMES}),
        ("arrays", {"path": "images.npz", "labels": "labels", "class_names": NAMES}),
        ("arrays", {"path": "images.npy", "labels": "labels.npy", "class_names": NAMES}),
    ],
)
def test_the_same_images_have_the_same_pixels_and_labels_to_the_bit(
    root, kind, settings, monkeypatch
):
    monkeypatch.chdir(root)
    opened = open_source(kind, settings)
    samples = opened.samples()
    if kind == "folder":  # in order of path
        samples = sorted(samples, key=lambda sample: sample.id.partition("/")[2])
    assert list(opened.class_names) == NAMES
    assert [sample.label for sample in samples] == LABELS.tolist()
    pixels = np.stack([np.asarray(opened.read(sample.path)) for sample in samples])
    np.testing.assert_array_equal(pixels, IMAGES)
