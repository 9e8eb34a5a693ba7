"""Labels in the configuration: which methods need them, class matching, unlabelled datasets."""

import numpy as np
import pytest

from lpclip.config.check import complete
from lpclip.data import imagenet
from lpclip.errors import LpclipError
from tests.helpers.published_sets import write_cifar_c, write_imagenet_c


@pytest.fixture
def config(tmp_path):
    write_cifar_c(tmp_path / "cifar", range(10), size=4)
    write_imagenet_c(tmp_path / "imagenet", per_class=1, size=4)
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 4, 4, 3), np.uint8), labels=["two", "seven"])
    digits = {"kind": "digits"}
    return {
        "models": {"tiny": {"architecture": "lpclip-tiny", "pretrained": "embedded"}},
        "datasets": {
            "adapt": {"source": {**digits, "split": "adapt"}},
            "test": {"source": {**digits, "split": "test"}},
            "other": {"source": {**digits, "split": "test"}, "limit": 7},
            "unlabelled": {"source": {"kind": "photo_patches", "n": 4}},
            "some": {
                "source": {"kind": "arrays", "path": str(tmp_path / "a.npz"), "labels": "labels"}
            },
            "cifar-c": {"source": {"kind": "cifar_c", "root": str(tmp_path / "cifar")}},
            "imagenet-c": {"source": {"kind": "imagenet_c", "root": str(tmp_path / "imagenet")}},
        },
        "benchmarks": {
            "digits": {
                "class_names": [
                    "zero",
                    "one",
                    "two",
                    "three",
                    "four",
                    "five",
                    "six",
                    "seven",
                    "eight",
                    "nine",
                ],
                "templates": ["{}"],
                "adapt": "adapt",
                "test": "test",
                "ood": {"far": ["unlabelled", "some"]},
            }
        },
        "labellings": {},
        "methods": {"zero_shot": {"kind": "zero_shot"}},
    }


def of(config):
    return config["benchmarks"]["digits"]


def checked(config):
    return complete(config).benchmarks["digits"]


def test_corruptions_are_all_families_where_accuracy_can_be_known_and_else_none(config):
    assert checked(config).corruptions == ("noise", "blur", "weather", "digital")
    of(config).update(test="unlabelled", ood={"far": ["some"]})
    assert checked(config).corruptions == ()
    del of(config)["test"]
    assert checked(config).corruptions == ()


def test_shifts_and_foreign_sets_may_have_some_or_other_classes(config):
    of(config).update(shifts=["some"], official_corruptions="cifar-c")
    of(config)["ood"] = {"near": ["other"], "far": ["unlabelled"]}
    complete(config)


def test_wordnet_ids_are_known_where_the_classes_are_imagenets(config):
    of(config).update(class_names="imagenet", adapt="unlabelled", official_corruptions="imagenet-c")
    of(config)["ood"] = {"far": ["other"]}
    config["datasets"]["test"] = {
        "source": {
            "kind": "folder",
            "root": config["datasets"]["imagenet-c"]["source"]["root"] + "/fog/1",
        }
    }
    config["datasets"]["test"]["published"] = "imagenet_r"
    config["datasets"]["shift"] = config["datasets"].pop("test")
    config["datasets"]["test"] = {**config["datasets"]["shift"], "limit": 1}
    del config["datasets"]["test"]["published"]
    of(config)["shifts"] = ["shift"]
    assert checked(config).class_names == list(imagenet.names())


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda c: of(c).update(shifts=["unlabelled"]), "needs labels of dataset 'unlabelled'"),
        (
            lambda c: of(c).update(class_names=["two", "three"]),
            "the benchmark 2 class names (two, three), and no name",
        ),
        (
            lambda c: of(c).update(shifts=["some"], class_names=["two", *"abcdefghi"]),
            "dataset 'some': its class 'seven' is not among the benchmark's 10 class names",
        ),
        (
            lambda c: of(c).update(test="unlabelled", corruptions=["noise"]),
            "no labelled test set. Give one, or set corruptions: []",
        ),
        (lambda c: of(c).update(test="tset"), "Did you mean 'test'?"),
        (lambda c: of(c).update(official_corruptions="cifar"), "Did you mean 'cifar-c'?"),
        (lambda c: of(c).update(official_corruptions="test"), "whose source is none of published"),
        (lambda c: of(c).update(test="cifar-c"), "no clean images. Name it as"),
        (lambda c: of(c)["ood"].update(far=["cifar-c"]), "ood.far names dataset 'cifar-c'"),
        (
            lambda c: of(c).update(test="unlabelled", official_corruptions="cifar-c"),
            "official_corruptions needs a labelled test set",
        ),
        (
            lambda c: of(c).update(official_corruptions="imagenet-c"),
            "dataset 'imagenet-c': it has 2 classes (n01440764, n01443537)",
        ),
        (
            lambda c: (
                of(c).update(official_corruptions="cifar-c"),
                c["datasets"]["cifar-c"].update(on_bad_image="skip"),
            ),
            "datasets.cifar-c.on_bad_image is 'skip'",
        ),
        (
            lambda c: (
                of(c).update(shifts=["some"]),
                c["datasets"]["some"].update(published="objectnet"),
            ),
            "datasets.some.published names a shift of ImageNet",
        ),
        (
            lambda c: c["datasets"]["some"].update(published="imagenet_a"),
            "allowed: imagenet_v2, imagenet_sketch, imagenet_r, objectnet",
        ),
        (
            lambda c: (
                of(c).update(adapt="unlabelled"),
                c["methods"].update(supervised={"kind": "supervised"}),
            ),
            "needs labels of dataset 'unlabelled'",
        ),
        (
            lambda c: (
                c["datasets"]["some"].update(class_map={"two": "one | two", "seven": "seven"}),
                of(c).update(test="some"),
            ),
            "Such a set can only be a shift",
        ),
    ],
)
def test_labels_that_do_not_fit_are_a_sentence(config, edit, sentence):
    edit(config)
    with pytest.raises(LpclipError) as error:
        complete(config)
    assert sentence in str(error.value)
    assert str(error.value).startswith("configuration")
