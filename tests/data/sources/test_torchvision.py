"""The source `torchvision`: classification sets, from generated files in their layout."""

import pickle
import re
import struct

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torchvision import datasets

from lpclip.data import imagenet
from lpclip.data.base import UNLABELLED, size_of
from lpclip.data.class_matching import match_classes
from lpclip.data.registry import open_source
from lpclip.errors import BadImageError, LpclipError
from tests.helpers.zoo import zoo


def source(name, root=None, **settings):
    if root is not None:
        settings["root"] = str(root)
    return open_source("torchvision", {"name": name, **settings})


def labels(opened):
    return [sample.label for sample in opened.samples()]


def pixels(opened, row=0):
    return np.asarray(opened.read(opened.samples()[row].path))


@pytest.fixture
def mnist(tmp_path):
    folder = tmp_path / "MNIST/raw"
    folder.mkdir(parents=True)
    images = np.arange(6 * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(6, 28, 28)
    for name in ("train", "t10k"):
        header = struct.pack(">iiii", 2051, 6, 28, 28)
        (folder / f"{name}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        values = bytes([3, 1, 9, 0, 2, 2])
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">ii", 2049, 6) + values)
    return tmp_path, images


def test_a_set_in_memory_has_its_labels_names_and_pixels(mnist):
    root, images = mnist
    opened = source("MNIST", root, arguments={"train": False})
    assert list(opened.class_names)[:2] == ["0 - zero", "1 - one"]
    assert labels(opened) == [3, 1, 9, 0, 2, 2]
    assert opened.samples()[4] == ("row-000004", "MNIST[4]", 2)
    np.testing.assert_array_equal(pixels(opened, 4), np.repeat(images[4][..., None], 3, axis=2))


def test_class_names_can_be_given(mnist):
    names = [f"digit {digit}" for digit in range(10)]
    assert source("MNIST", mnist[0], class_names=names).class_names == names
    with pytest.raises(LpclipError, match="labels 0 to 9, but there are 2 class names"):
        source("MNIST", mnist[0], class_names=["a", "b"]).samples()


def test_a_set_without_class_names_has_the_numbers(tmp_path, monkeypatch):
    data = {"X": np.zeros((32, 32, 3, 4), dtype=np.uint8), "y": np.array([[1], [10], [3], [2]])}
    savemat(tmp_path / "test_32x32.mat", data)
    # torchvision compares the file with the published one.
    monkeypatch.setattr(datasets.SVHN, "_check_integrity", lambda _: True)
    opened = source("SVHN", tmp_path, arguments={"split": "test"})
    assert opened.class_names == ["0", "1", "2", "3"]
    assert labels(opened) == [1, 0, 3, 2]


@pytest.fixture
def folders(tmp_path):
    for row, name in enumerate(["bee", "ant", "bee"]):
        (tmp_path / name).mkdir(exist_ok=True)
        Image.new("RGB", (3, 2), (row, 2, 3)).save(tmp_path / name / f"{row}.png")
    return tmp_path


def test_a_set_of_files_has_its_labels_names_and_pixels(folders):
    opened = source("ImageFolder", folders)
    assert list(opened.class_names) == ["ant", "bee"]
    assert labels(opened) == [0, 1, 1]
    assert [int(pixels(opened, row)[0, 0, 0]) for row in range(3)] == [1, 0, 2]


def test_labels_that_are_known_cost_no_reading_of_all_images(folders):
    (folders / "bee/1.png").write_bytes(b"rubbish")  # neither the first, the middle nor the last
    for row in (3, 4, 5):
        Image.new("RGB", (3, 2)).save(folders / f"bee/{row}.png")
    assert labels(source("ImageFolder", folders)) == [0, 1, 1, 1, 1, 1, 1]


def test_a_damaged_image_is_in_the_index_all_the_same(folders):
    (folders / "ant/1.png").write_bytes(b"rubbish")
    assert labels(source("ImageFolder", folders)) == [0, 1, 1]


def test_kept_labels_that_are_not_those_of_the_rows_are_not_believed(folders, monkeypatch):
    item = datasets.ImageFolder.__getitem__
    monkeypatch.setattr(
        datasets.ImageFolder, "__getitem__", lambda self, row: (item(self, row)[0], 1 - row % 2)
    )
    assert labels(source("ImageFolder", folders)) == [1, 0, 1]


def test_labels_that_are_kept_nowhere_are_read_with_the_images():
    opened = source("FakeData", arguments={"size": 5, "num_classes": 3, "image_size": [3, 8, 8]})
    expected = datasets.FakeData(size=5, num_classes=3, image_size=(3, 8, 8))
    assert labels(opened) == [int(expected[row][1]) for row in range(5)]
    np.testing.assert_array_equal(pixels(opened, 2), np.asarray(expected[2][0]))


def test_labels_of_none_are_no_labels(folders, monkeypatch):
    item = datasets.ImageFolder.__getitem__
    monkeypatch.setattr(
        datasets.ImageFolder, "__getitem__", lambda self, row: (item(self, row)[0], None)
    )
    assert labels(source("ImageFolder", folders)) == [UNLABELLED] * 3


def test_several_names_of_a_class_are_one_text(folders):
    opened = source("ImageFolder", folders)
    opened._dataset.classes = [("ant", "emmet"), "bee"]
    assert opened.class_names == ["ant, emmet", "bee"]


def test_classes_of_imagenet_are_called_by_their_ids(folders):
    opened = source("ImageFolder", folders)
    opened._dataset.classes = [("tench", "Tinca tinca"), ("goldfish", "Carassius auratus")]
    opened._dataset.wnids = ["n01440764", "n01443537"]
    assert match_classes(opened.class_names, imagenet.names()) == ((0,), (1,))


def test_a_damaged_image_is_named(folders):
    opened = source("ImageFolder", folders)
    opened.samples()
    (folders / "bee/0.png").write_bytes(b"rubbish")
    with pytest.raises(
        BadImageError, match=r"ImageFolder\[1\] \(.*bee/0.png\) cannot be read as an image \(not an"
    ):
        opened.read("ImageFolder[1]")


ODD = ("grey-16.png", "clear.png", "exif-5.png")


def oxford_iiit_pet(root, files, _):
    (root / "oxford-iiit-pet/annotations").mkdir(parents=True)
    (root / "oxford-iiit-pet/images").mkdir()
    lines = ""
    for row, data in enumerate(files):
        (root / f"oxford-iiit-pet/images/cat_{row}.jpg").write_bytes(data)
        lines += f"cat_{row} 1 1 1\n"
    (root / "oxford-iiit-pet/annotations/test.txt").write_text(lines)
    return source("OxfordIIITPet", root, arguments={"split": "test"})


def caltech101(root, files, _):
    (root / "caltech101/101_ObjectCategories/BACKGROUND_Google").mkdir(parents=True)
    (root / "caltech101/101_ObjectCategories/ant").mkdir()
    for row, data in enumerate(files, start=1):
        path = root / f"caltech101/101_ObjectCategories/ant/image_{row:04}.jpg"
        path.write_bytes(data)
    return source("Caltech101", root)


def caltech256(root, files, _):
    (root / "caltech256/256_ObjectCategories/001.ant").mkdir(parents=True)
    for row, data in enumerate(files, start=1):
        path = root / f"caltech256/256_ObjectCategories/001.ant/001_{row:04}.jpg"
        path.write_bytes(data)
    return source("Caltech256", root)


def celeba(root, files, monkeypatch):
    (root / "celeba/img_align_celeba").mkdir(parents=True)
    names = [f"{row}.jpg" for row in range(len(files))]
    for name, data in zip(names, files, strict=True):
        (root / "celeba/img_align_celeba" / name).write_bytes(data)
    plain, titled = (["list_eval_partition", "identity_CelebA"], ["list_bbox_celeba"])
    titled += ["list_landmarks_align_celeba", "list_attr_celeba"]
    for table in plain + titled:
        rows = "".join(f"{name} 0\n" for name in names)
        title = f"{len(files)}\nvalue\n" if table in titled else ""
        (root / f"celeba/{table}.txt").write_text(title + rows)
    # torchvision compares the files with the published ones.
    monkeypatch.setattr(datasets.CelebA, "_check_integrity", lambda _: True)
    return source("CelebA", root, arguments={"target_type": "identity"})


@pytest.mark.parametrize("make", [oxford_iiit_pet, caltech101, caltech256, celeba])
def test_sets_that_open_files_themselves_open_them_as_all_others_do(make, tmp_path, monkeypatch):
    """For GTSRB and sets with a loader see the zoo."""
    files = [zoo()[name].data for name in ODD]
    opened = make(tmp_path, [*files, b"rubbish"], monkeypatch)
    assert labels(opened) == [0, 0, 0, 0]
    assert [size_of(opened, sample.path) for sample in opened.samples()] == [*map(len, files), 7]
    for row, name in enumerate(ODD):
        np.testing.assert_array_equal(pixels(opened, row), zoo()[name].pixels)
    with pytest.raises(BadImageError) as error:
        opened.read(opened.samples()[3].path)
    assert error.value.reason == "not an image of a known format, but a text file"
    # torchvision's own class, which other code may use, still opens files itself.
    assert getattr(datasets, opened._name).__getitem__.__globals__.get("Image", Image) is Image
    again = pickle.loads(pickle.dumps(opened))
    np.testing.assert_array_equal(pixels(again), zoo()[ODD[0]].pixels)


def test_labels_are_found_without_reading_files_of_images(tmp_path, monkeypatch):
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_bytes(b"rubbish")
    monkeypatch.setattr("lpclip.data.sources.torchvision._PAIRS", ())
    monkeypatch.setattr("lpclip.data.sources.torchvision._LABELS", ())
    opened = source("ImageFolder", tmp_path)
    assert labels(opened) == [0, 1]
    with pytest.raises(BadImageError):
        opened.read("ImageFolder[0]")


@pytest.mark.parametrize("label", ["text", 0.5, np.float64(1), torch.zeros(2), (1, 2)])
def test_a_set_whose_label_is_no_class_is_refused(folders, monkeypatch, label):
    item = datasets.ImageFolder.__getitem__
    monkeypatch.setattr(
        datasets.ImageFolder, "__getitem__", lambda self, row: (item(self, row)[0], label)
    )
    with pytest.raises(LpclipError, match="; only sets whose label is a class can be used"):
        source("ImageFolder", folders).samples()
    monkeypatch.setattr(datasets.ImageFolder, "__getitem__", lambda _, __: ("no image", 1))
    with pytest.raises(LpclipError, match="is no set of single images"):
        source("ImageFolder", folders).samples()


def test_cifar_checks_its_files_before_it_unpickles_them(tmp_path):
    """The files are pickles: all but the published ones are rejected unread."""
    (tmp_path / "cifar-10-batches-py").mkdir()
    for name, _ in (*datasets.CIFAR10.train_list, *datasets.CIFAR10.test_list):
        (tmp_path / "cifar-10-batches-py" / name).write_bytes(b"cposix\nsystem\n(S'false'\ntR.")
    with pytest.raises(LpclipError, match=r"CIFAR10 cannot be read from.*not found or corrupted"):
        source("CIFAR10", tmp_path).samples()


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("CIFAR1O", {"root": "."}, "no dataset 'CIFAR1O'. Did you mean 'CIFAR10'"),
        ("CIFAR10", {}, "lacks the setting 'root' of CIFAR10"),
        ("CIFAR10", {"root": "gone"}, "'gone' does not exist. Set download: true once"),
        ("CIFAR10", {"root": "gone"}, "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"),
        ("ImageFolder", {"root": "gone"}, "Put its files there, see https://docs"),
        ("ImageFolder", {"root": ".", "download": True}, "cannot download ImageFolder"),
        ("MNIST", {"root": ".", "arguments": {"trian": 1}}, "'trian'. Did you mean 'train'"),
        ("LSUN", {"root": "."}, "LSUN unpickles a list of its keys"),
        ("EMNIST", {"root": ".", "arguments": {"download": True}}, "has no 'download'"),
        ("MNIST", {"root": ".", "arguments": {"transform": "x"}}, "has no 'transform'"),
        ("MNIST", {"root": ".", "train": False}, "no setting 'train'"),
    ],
)
def test_a_wrong_setting_is_refused(name, settings, sentence):
    with pytest.raises(LpclipError, match=re.escape(sentence)):
        open_source("torchvision", {"name": name, **settings})


def test_a_folder_without_the_files_says_how_to_get_them(tmp_path):
    with pytest.raises(LpclipError, match=r"MNIST cannot be read from .* Set download: true once"):
        source("MNIST", tmp_path).samples()
    with pytest.raises(LpclipError, match=r"EMNIST cannot be read from.*Unknown value 'x'"):
        source("EMNIST", tmp_path, arguments={"split": "x"}).samples()


@pytest.mark.parametrize("path", ["MNIST[6]", "MNIST", "[0]", "KMNIST[0]"])
def test_a_path_that_is_no_row_is_refused(mnist, path):
    with pytest.raises(LpclipError, match=r"a path is MNIST\[row\]"):
        source("MNIST", mnist[0]).read(path)
