"""Published corrupted sets and ObjectNet, in their own layouts."""

import numpy as np
import pytest

from lpclip.data import imagenet
from lpclip.data.class_matching import match_classes
from lpclip.data.registry import open_source
from lpclip.errors import BadImageError, LpclipError
from tests.helpers.published_sets import (
    CORRUPTIONS,
    WNIDS,
    picture,
    write_cifar_c,
    write_imagenet_c,
    write_objectnet,
)


def test_imagenet_c_lists_each_image_once_and_reads_its_versions(tmp_path):
    source = open_source("imagenet_c", {"root": str(write_imagenet_c(tmp_path))})
    assert source.corruptions == list(CORRUPTIONS)
    assert list(source.class_names) == list(WNIDS[:2])
    samples = source.samples()
    assert [sample.label for sample in samples] == [0, 0, 1, 1]
    assert samples[3].path == f"{WNIDS[1]}/ILSVRC2012_val_11.JPEG"
    for c, name in enumerate(CORRUPTIONS):
        for severity in (1, 5):
            image = source.read(source.corrupted(samples[3].path, name, severity))
            np.testing.assert_array_equal(np.asarray(image), picture(c, severity, 1, 1))


def test_cifar_c_lists_each_image_once_and_reads_its_versions(tmp_path):
    labels = [3, 0, 1, 3]
    source = open_source("cifar_c", {"root": str(write_cifar_c(tmp_path, labels))})
    assert source.corruptions == list(CORRUPTIONS)
    assert list(source.class_names) == ["0", "1", "2", "3"]
    samples = source.samples()
    assert [sample.label for sample in samples] == labels
    for c, name in enumerate(CORRUPTIONS):
        for severity in (1, 2, 5):
            image = source.read(source.corrupted(samples[2].path, name, severity))
            np.testing.assert_array_equal(np.asarray(image), picture(c, severity, 2, size=32))
    with pytest.raises(LpclipError, match="a path is"):
        source.read(samples[2].path)
    names = ["a", "b", "c", "d"]
    named = open_source("cifar_c", {"root": str(tmp_path), "class_names": names})
    assert list(named.class_names) == names


def remove(path):
    for inside in sorted(path.rglob("*"), reverse=True):
        inside.rmdir() if inside.is_dir() else inside.unlink()
    path.rmdir() if path.is_dir() else path.unlink()


def first_image(root):
    return next((root / "fog/3").rglob("*.JPEG"))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda root: remove(root / "fog/4"), "fog lacks the severities 4 of 1 to 5"),
        (lambda root: remove(first_image(root)), r"fog/3 lacks the image 'n0.*JPEG'"),
        (lambda root: (root / "fog/3/n01440764/x.png").touch(), "has, unlike others, the image"),
        (lambda root: [remove(root / name) for name in CORRUPTIONS], "has none of ImageNet-C's"),
        (remove, r"does not exist\. Check 'root'; ImageNet-C comes from https"),
    ],
)
def test_a_partial_imagenet_c_is_a_sentence(tmp_path, damage, sentence):
    root = write_imagenet_c(tmp_path / "c", per_class=1, size=8)
    damage(root)
    with pytest.raises(LpclipError, match=sentence):
        open_source("imagenet_c", {"root": str(root)}).samples()


def shortened(path):
    np.save(path, np.load(path, allow_pickle=False)[:-1])


def shuffled(path):
    np.save(path, np.sort(np.load(path, allow_pickle=False)))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda root: shortened(root / "fog.npy"), r"fog\.npy has uint8 of shape \[19, 32"),
        (lambda root: shortened(root / "labels.npy"), "has not the same labels for each of 5"),
        (lambda root: shuffled(root / "labels.npy"), "has not the same labels for each of 5"),
        (lambda root: remove(root / "labels.npy"), "labels.npy does not exist"),
        (lambda root: (root / "fog.npy").write_bytes(b"x"), "cannot be read as an array"),
        (lambda root: np.save(root / "fog.npy", np.zeros((20, 32, 32, 3))), "has float64"),
        (lambda root: [remove(root / f"{name}.npy") for name in CORRUPTIONS], "has none of CIFAR"),
    ],
)
def test_a_partial_cifar_c_is_a_sentence(tmp_path, damage, sentence):
    root = write_cifar_c(tmp_path / "c", [0, 1, 2, 0])
    damage(root)
    with pytest.raises(LpclipError, match=sentence):
        open_source("cifar_c", {"root": str(root)}).class_names  # noqa: B018


@pytest.mark.parametrize("first", [0, 1])
def test_objectnet_has_the_classes_that_imagenet_has_and_loses_its_frame(tmp_path, first):
    source = open_source("objectnet", {"root": str(write_objectnet(tmp_path, first=first))})
    assert list(source.class_names) == ["n02708093 | n03196217", "n01440764", "n01443537"]
    expected = ((409, 530), (0,), (1,))
    assert match_classes(source.class_names, imagenet.names()) == expected
    samples = source.samples()
    assert [sample.id for sample in samples] == [
        f"{folder}/{i}.png" for folder in ("alarm_clock", "fish", "gold") for i in range(2)
    ]
    assert [sample.label for sample in samples] == [0, 0, 1, 1, 2, 2]
    pixels = np.asarray(source.read(samples[1].path))
    assert pixels.shape == (16, 26, 3)
    assert (pixels == 40).all()
    framed = open_source("objectnet", {"root": str(tmp_path), "border": 0})
    assert np.asarray(framed.read(samples[1].path))[0, 0].tolist() == [255, 0, 0]
    all_frame = open_source("objectnet", {"root": str(tmp_path), "border": 10})
    with pytest.raises(BadImageError, match="30 x 20 has nothing inside a border of 10 pixels"):
        all_frame.read(samples[1].path)


def test_objectnet_without_its_mappings_is_a_sentence(tmp_path):
    root = write_objectnet(tmp_path)
    (root / "mappings/objectnet_to_imagenet_1k.json").write_text('{"Fish": "herring"}')
    with pytest.raises(LpclipError, match="names 'herring', which is not in"):
        open_source("objectnet", {"root": str(root)}).class_names  # noqa: B018
    (root / "mappings/objectnet_to_imagenet_1k.json").unlink()
    with pytest.raises(LpclipError, match="comes with ObjectNet"):
        open_source("objectnet", {"root": str(root)})
