import numpy as np
import pytest
from PIL import Image

from lpclip.data.base import size_of
from lpclip.data.image_sizes import changed_image, check_sizes
from lpclip.data.index import index_samples
from lpclip.data.registry import open_source
from lpclip.errors import LpclipError
from lpclip.storage.hdf5 import read_provenance
from lpclip.storage.samples import read_samples


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(pixels).integers(0, 256, (pixels, pixels, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)


@pytest.fixture
def indexed(tmp_path):
    for name in ("a/1.png", "a/2.png", "b/1.png"):
        save(tmp_path / "images" / name, 8)
    source = {"kind": "folder", "root": str(tmp_path / "images")}
    index_samples(output=tmp_path / "samples.h5", dataset="d", source=source)
    return tmp_path, open_source("folder", {"root": str(tmp_path / "images")})


def test_an_index_has_the_size_of_every_file(indexed):
    folder, source = indexed
    rows = read_samples(folder / "samples.h5", labels=False)
    sizes = [(folder / "images" / name).stat().st_size for name in rows["id"]]
    assert list(rows["size"]) == sizes
    assert [size_of(source, path) for path in rows["path"]] == sizes


def test_another_image_under_the_same_name_is_another_index(indexed):
    folder, source = indexed
    index = folder / "samples.h5"
    before = read_provenance(index)["index"]
    assert changed_image(index, source) is None
    save(folder / "images/a/2.png", 9)
    changed = changed_image(index, source)
    assert changed.startswith(f"{folder}/images/a/2.png has ")
    with pytest.raises(LpclipError, match=r"2.png has .* bytes, not .*--forcerun .*samples.h5"):
        check_sizes(index, source, read_samples(index, labels=False))
    index_samples(
        output=index, dataset="d", source={"kind": "folder", "root": str(folder / "images")}
    )
    assert read_provenance(index)["index"] != before
    assert changed_image(index, source) is None


def test_dates_do_not_matter_nor_images_that_are_gone_or_broken(indexed):
    folder, source = indexed
    path = folder / "images/a/1.png"
    path.touch()
    (folder / "images/b/1.png").unlink()
    index = folder / "samples.h5"
    assert changed_image(index, source) is None
    path.write_bytes(path.read_bytes()[:50])  # reading it is an error
    check_sizes(index, source, read_samples(index, labels=False))


def test_images_that_the_index_does_not_list_are_noticed(indexed):
    folder, source = indexed
    index = folder / "samples.h5"
    save(folder / "images/b/2.png", 8)
    assert changed_image(index, source) == "4 are there, not 3"
    (folder / "images/a/1.png").unlink()  # the same number as before, with one replaced
    assert changed_image(index, source).endswith("b/2.png is there, which it does not list")
    assert changed_image(index, source, at_most=2).endswith("which it does not list")


def test_images_may_be_deleted_once_they_are_embedded(indexed):
    folder, source = indexed
    for path in (folder / "images").rglob("*.png"):
        assert changed_image(folder / "samples.h5", source) is None
        path.unlink()
    assert changed_image(folder / "samples.h5", source) is None


def test_of_many_images_some_are_looked_at(indexed):
    folder, source = indexed
    save(folder / "images/b/1.png", 9)
    assert changed_image(folder / "samples.h5", source, at_most=3)
    assert changed_image(folder / "samples.h5", source, at_most=1) is None


def test_images_without_files_have_no_size(tmp_path):
    source = {"kind": "digits", "split": "test"}
    index_samples(output=tmp_path / "samples.h5", dataset="d", source=source)
    rows = read_samples(tmp_path / "samples.h5", labels=False)
    assert set(rows["size"]) == {0}
    assert changed_image(tmp_path / "samples.h5", open_source("digits", {"split": "test"})) is None
