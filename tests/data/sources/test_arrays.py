"""The source `arrays`: images in NumPy files, in the layouts of CIFAR-10-C and CIFAR-10.1."""

import numpy as np
import pytest

from lpclip.data.base import UNLABELLED
from lpclip.data.registry import open_source
from lpclip.errors import LpclipError

N = 50  # 5 severities of 10 images
IMAGES = np.random.default_rng(0).integers(256, size=(N, 32, 32, 3), dtype=np.uint8)
LABELS = np.tile(np.arange(10, dtype=np.uint8), 5)


@pytest.fixture
def root(tmp_path):
    np.save(tmp_path / "fog.npy", IMAGES)
    np.save(tmp_path / "labels.npy", LABELS)
    np.savez(tmp_path / "plain.npz", images=IMAGES, labels=LABELS, names=list("abcdefghij"))
    np.savez_compressed(tmp_path / "small.npz", images=IMAGES, labels=LABELS)
    return tmp_path


def source(path, **settings):
    return open_source("arrays", {"path": str(path), **settings})


def pixels(opened):
    return np.stack([np.asarray(opened.read(sample.path)) for sample in opened.samples()])


@pytest.mark.parametrize("name", ["fog.npy", "plain.npz", "small.npz"])
def test_every_row_is_an_image_to_the_bit(root, name):
    np.testing.assert_array_equal(pixels(source(root / name)), IMAGES)


def test_cifar10_c_is_read_one_severity_at_a_time(root):
    """Write {corruption}.npy with five severities in a row, and labels.npy for all of them."""
    labels = str(root / "labels.npy")
    opened = [
        source(root / "fog.npy", labels=labels, slice=[10 * i, 10 * i + 10]) for i in range(5)
    ]
    np.testing.assert_array_equal(np.concatenate([pixels(each) for each in opened]), IMAGES)
    assert [sample.label for sample in opened[3].samples()] == list(range(10))
    assert len({sample.id for each in opened for sample in each.samples()}) == N


def test_cifar10_1_is_read_as_published(tmp_path):
    np.save(tmp_path / "cifar10.1_v6_data.npy", IMAGES[:20])
    np.save(tmp_path / "cifar10.1_v6_labels.npy", np.arange(20)[::-1] % 10)
    opened = source(
        tmp_path / "cifar10.1_v6_data.npy", labels=str(tmp_path / "cifar10.1_v6_labels.npy")
    )
    assert opened.class_names == [str(digit) for digit in range(10)]
    assert opened.samples()[1].label == 8
    np.testing.assert_array_equal(pixels(opened), IMAGES[:20])


def test_labels_names_and_ids_may_be_columns_of_the_same_file(root):
    opened = source(root / "plain.npz", labels="labels", class_names="names", ids="labels")
    assert opened.class_names == list("abcdefghij")
    assert opened.samples()[7] == ("7", f"{root / 'plain.npz'}[7]", 7)


def test_without_labels_the_set_is_unlabelled(root):
    opened = source(root / "fog.npy")
    assert opened.class_names is None
    assert {sample.label for sample in opened.samples()} == {UNLABELLED}


def test_text_labels_follow_the_class_names(root):
    np.save(root / "text.npy", np.array(["dog", "cat"] * 25))
    labels = str(root / "text.npy")
    assert source(root / "fog.npy", labels=labels).samples()[0].label == 1
    names = ["dog", "cow", "cat"]
    opened = source(root / "fog.npy", labels=labels, class_names=names)
    assert [sample.label for sample in opened.samples()][:2] == [0, 2]


@pytest.mark.parametrize("shape", [(4, 8, 9), (4, 8, 9, 1), (4, 8, 9, 3), (4, 8, 9, 4)])
def test_grey_and_transparent_images_become_rgb(tmp_path, shape):
    images = np.full(shape, 200, dtype=np.uint8)
    np.save(tmp_path / "x.npy", images)
    opened = source(tmp_path / "x.npy")
    image = opened.read(opened.samples()[2].path)
    assert (image.mode, image.size) == ("RGB", (9, 8))


def test_an_uncompressed_archive_is_not_loaded(tmp_path, monkeypatch):
    images = np.zeros((400, 32, 32, 3), dtype=np.uint8)
    images[7] = 9
    np.savez(tmp_path / "x.npz", images=images, labels=np.arange(400))
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("the file is loaded"))
    assert np.asarray(source(tmp_path / "x.npz").read("x[7]")).max() == 9


def test_an_array_in_fortrans_order_is_the_same(tmp_path):
    images = np.random.default_rng(1).integers(256, size=(400, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", images=np.asfortranarray(images))
    opened = source(tmp_path / "x.npz")
    np.testing.assert_array_equal(np.asarray(opened.read("x[17]")), images[17])


def test_the_files_are_named_for_the_workflow(root):
    opened = source(root / "fog.npy", labels=str(root / "labels.npy"))
    assert [path.name for path in opened.files()] == ["fog.npy", "labels.npy"]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"slice": [0, 51]}, "slice is [0, 51], but it must be [start, stop] with 0 <="),
        ({"slice": [5, 5]}, "slice is [5, 5]"),
        ({"slice": [0, 5, 2]}, "slice is [0, 5, 2]"),
        ({"slice": "0:5"}, "slice is '0:5'; allowed: a list"),
        ({"slice": [0, 2.5]}, "slice.1 is 2.5; allowed: a whole number"),
        ({"labels": "gone.npy"}, "'gone.npy' does not exist"),
        ({"labels": "labels"}, "has no array 'labels'. Available: array"),
        ({"key": "image"}, "has no array 'image'"),
        ({"label": "labels"}, "no setting 'label'. Did you mean 'labels'"),
    ],
)
def test_a_wrong_setting_is_refused(root, settings, sentence):
    with pytest.raises(LpclipError) as error:
        source(root / "fog.npy", **settings)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (IMAGES.astype(np.float32), "is float32, but images are uint8"),
        (IMAGES.transpose(0, 3, 1, 2), "Move the channels to the end."),
        (IMAGES[0, 0], "has shape [32, 3], but images are [N, H, W, C]"),
        (IMAGES[:0], "has shape [0, 32, 32, 3]"),
        (IMAGES[..., :2], "with 1, 3 or 4 channels"),
        (np.full((2, 8, 8), None), "holds Python objects, which lpclip never unpickles"),
    ],
)
@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_an_array_that_holds_no_images_is_refused(tmp_path, array, sentence, ending):
    save = {"npy": np.save, "npz": np.savez}[ending]
    save(tmp_path / f"x.{ending}", array)
    with pytest.raises(LpclipError) as error:
        source(tmp_path / f"x.{ending}").samples()
    assert sentence in str(error.value)
    assert f"x.{ending}" in str(error.value)


def test_labels_that_do_not_fit_are_refused(root, tmp_path):
    np.save(tmp_path / "few.npy", LABELS[:10])
    with pytest.raises(LpclipError, match="'array' has 10 labels for 50 rows"):
        source(root / "fog.npy", labels=str(tmp_path / "few.npy"))
    opened = source(root / "fog.npy", labels=str(root / "labels.npy"), class_names=["a", "b"])
    with pytest.raises(LpclipError, match=r"labels 0 to 9, but there are 2 class names"):
        opened.samples()


@pytest.mark.parametrize("content", [b"", b"text", b"\x93NUMPY\x01\x00", b"PK\x03\x04"])
@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_rubbish_is_refused_by_its_path(tmp_path, content, ending):
    (tmp_path / f"x.{ending}").write_bytes(content)
    with pytest.raises(LpclipError, match=rf"x\.{ending}.* cannot be read"):
        source(tmp_path / f"x.{ending}")


def test_a_truncated_file_is_refused(root):
    whole = (root / "fog.npy").read_bytes()
    (root / "fog.npy").write_bytes(whole[:-1])
    with pytest.raises(LpclipError, match=r"fog\.npy.* cannot be read"):
        source(root / "fog.npy")


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "x.csv").write_text("a")
    with pytest.raises(LpclipError, match=r"x\.csv is no \.npy or \.npz file of images"):
        source(tmp_path / "x.csv")


@pytest.mark.parametrize("path", ["fog.npy", "fog.npy[50]", "fog.npy[-1]", "fog.npy[x]"])
def test_a_path_that_is_no_row_is_refused(root, path):
    with pytest.raises(LpclipError, match="There is no image 'fog"):
        source(root / "fog.npy").read(path)
