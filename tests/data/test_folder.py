"""A folder of images as a dataset."""

import numpy as np
import pytest
from PIL import Image

from lpclip.data import UNLABELLED, open_source
from lpclip.errors import LpclipError


def save(path, colour=0, mode="RGB", size=(5, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


@pytest.fixture
def root(tmp_path):
    for name in ("dog/2.png", "dog/10.JPG", "dog/deep/0.png", "cat/1.bmp", "çat/a.webp"):
        save(tmp_path / "set" / name)
    (tmp_path / "set/dog/notes.txt").write_text("no image")
    (tmp_path / "set/empty").mkdir()
    return tmp_path / "set"


def source(root, **settings):
    return open_source("folder", {"root": str(root), **settings})


def test_the_first_level_names_the_classes_in_the_order_of_the_alphabet(root):
    assert list(source(root).class_names) == ["cat", "dog", "empty", "çat"]


def test_samples_are_the_image_files_by_path_with_the_label_of_their_class(root):
    samples = source(root).samples()
    assert [(sample.id, sample.label) for sample in samples] == [
        ("cat/1.bmp", 0),
        ("dog/10.JPG", 1),
        ("dog/2.png", 1),
        ("dog/deep/0.png", 1),
        ("çat/a.webp", 3),
    ]
    assert samples[1].path == str(root / "dog/10.JPG")


def test_an_id_does_not_depend_on_where_the_folder_lies(root, tmp_path):
    before = [(sample.id, sample.label) for sample in source(root).samples()]
    root.rename(tmp_path / "moved")
    after = source(tmp_path / "moved").samples()
    assert [(sample.id, sample.label) for sample in after] == before


def test_without_labels_every_image_counts_and_has_none(root):
    save(root / "loose.png")
    unlabelled = source(root, labelled=False)
    assert unlabelled.class_names is None
    assert {sample.label for sample in unlabelled.samples()} == {UNLABELLED}
    assert len(unlabelled.samples()) == 6


def test_an_image_outside_every_class_folder_is_refused_by_its_path(root):
    save(root / "loose.png")
    with pytest.raises(LpclipError, match=r"loose\.png lies in no class folder.*labelled: false"):
        source(root).samples()


def test_class_folders_may_be_links(root, tmp_path):
    (tmp_path / "selection").mkdir()
    (tmp_path / "selection/dog").symlink_to(root / "dog", target_is_directory=True)
    ids = [sample.id for sample in source(tmp_path / "selection").samples()]
    assert ids == ["dog/10.JPG", "dog/2.png", "dog/deep/0.png"]


@pytest.mark.parametrize(
    ("mode", "colour"), [("L", 7), ("RGBA", (7, 7, 7, 0)), ("1", 1), ("P", 3), ("CMYK", (0,) * 4)]
)
def test_every_mode_is_read_as_rgb_of_eight_bits(tmp_path, mode, colour):
    ending = "tif" if mode == "CMYK" else "png"
    save(tmp_path / f"a/x.{ending}", colour, mode)
    dataset = source(tmp_path)
    image = dataset.read(dataset.samples()[0].path)
    assert (image.mode, image.size) == ("RGB", (5, 4))
    expected = np.asarray(Image.new(mode, (5, 4), colour).convert("RGB"))
    np.testing.assert_array_equal(np.asarray(image), expected)


def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(LpclipError, match=r"gone' does not exist\. Check 'root'"):
        source(tmp_path / "gone")


def test_settings_that_are_missing_or_unknown_are_refused(root):
    with pytest.raises(LpclipError, match="'folder' lacks the setting 'root'"):
        open_source("folder", {})
    with pytest.raises(LpclipError, match=r"no setting 'labeled'\. Did you mean 'labelled'"):
        source(root, labeled=False)
