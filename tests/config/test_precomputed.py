"""Precomputed features in the configuration: what is filled in, what is rejected before a job."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lpclip.config.check import complete
from lpclip.config.files import training_views
from lpclip.errors import LpclipError
from lpclip.storage.features import write_features
from lpclip.storage.hdf5 import create
from lpclip.storage.tables import write_table


def write_cache(path, weights, kind="features"):
    samples = pd.DataFrame({"id": list("abcd"), "path": "p"})
    provenance = {"model": "m", "weights": weights, "index": "1"}
    values = np.eye(4, 8, dtype=np.float16)
    if kind == "features":
        write_features(
            path,
            samples=samples,
            versions={"clean": 0},
            parts=[values[None]],
            provenance=provenance,
        )
        return
    with create(path, kind="text", provenance=provenance) as file:
        file["features"] = values[:2]
        names = pd.DataFrame({"class_index": [0, 1], "name": ["cat", "dog"]})
        write_table(file, "classes", names)


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez(
        "f.npz",
        img=np.eye(4, 8),
        narrow=np.eye(4, 7),
        labels=[0, 1, 1, 0],
        text=np.eye(2, 8),
        three=np.eye(3, 8),
        classes=["cat", "dog"],
    )
    write_cache(Path("3f9a.h5"), "3f9a")
    write_cache(Path("77c1.h5"), "77c1")
    write_cache(Path("text.h5"), "3f9a", kind="text")
    labelled = {"kind": "features", "path": "f.npz", "key": "img", "labels": "labels"}
    return {
        "models": {"mine": {"architecture": "x", "pretrained": "precomputed"}},
        "datasets": {
            "adapt": {"source": {"kind": "features", "path": "f.npz", "key": "img"}},
            "test": {"source": labelled},
            "images": {"source": {"kind": "photo_patches", "n": 4}},
        },
        "benchmarks": {
            "pets": {
                "text_features": {"path": "f.npz", "key": "text", "class_names": "classes"},
                "adapt": "adapt",
                "test": "test",
                "corruptions": [],
            }
        },
        "labellings": {"all": {"threshold": 0}},
        "methods": {"lp_clip": {"kind": "self_training", "labelling": "all"}},
    }


def pets(config):
    return config["benchmarks"]["pets"]


def test_class_names_and_models_are_filled_in(config):
    done = complete(config)
    assert done.benchmarks["pets"].class_names == ["cat", "dog"]
    assert done.benchmarks["pets"].models == ["mine"]
    assert done.models["mine"].weights is None


def test_a_text_cache_of_lpclip_has_class_names(config):
    pets(config)["text_features"] = {"path": "text.h5"}
    assert complete(config).benchmarks["pets"].class_names == ["cat", "dog"]


def test_a_model_has_the_weights_that_a_cache_of_its_benchmarks_tells(config):
    config["datasets"]["adapt"]["source"] = {"kind": "features", "path": "3f9a.h5"}
    assert complete(config).models["mine"].weights == "3f9a"
    config["models"]["mine"]["weights"] = "3f9a"
    assert complete(config).models["mine"].weights == "3f9a"


def test_random_views_are_learned_only_where_there_are_images():
    assert training_views("weak", images=True) == ("weak", "weak")
    assert training_views("clean", images=True) == ("clean", "clean")
    for view in ("both", "strong", "weak", "clean"):
        assert training_views(view, images=False) == ("clean", "clean")


def features(**source):
    return {"source": {"kind": "features", **source}}


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda c: pets(c).pop("corruptions"), "Set corruptions: []."),
        (
            lambda c: pets(c).update(adapt="images"),
            "dataset 'images' of images, but model 'mine' is precomputed",
        ),
        (
            lambda c: pets(c).update(templates=["{}"]),
            "needs one of templates, prompts, and text_feat",
        ),
        (
            lambda c: pets(c).pop("text_features"),
            "needs one of templates, prompts, and text_feat",
        ),
        (
            lambda c: (
                pets(c).pop("text_features"),
                pets(c).update(templates=["{}"], class_names=["cat", "dog"]),
            ),
            "has templates, but model 'mine' is precomputed and cannot embed text",
        ),
        (lambda c: pets(c)["text_features"].pop("class_names"), "lacks the setting 'class_names'"),
        (lambda c: pets(c).update(class_names=["dog", "cat"]), "class_names are not those in"),
        (lambda c: pets(c)["text_features"].update(key="three"), "has 3 rows for 2 class names"),
        (lambda c: pets(c)["text_features"].update(key="txt"), "Did you mean 'text'"),
        (lambda c: pets(c)["text_features"].update(path="g.npz"), "text_features: the file or"),
        (lambda c: pets(c)["text_features"].update(class_names="class"), "Did you mean 'classes'"),
        (lambda c: pets(c).update(models=["mien"]), "Did you mean 'mine'?"),
        (
            lambda c: c["models"]["mine"].update(pretrained="openai", scale=3.0),
            "models.mine.scale is for 'pretrained: precomputed'",
        ),
        (
            lambda c: c["datasets"]["adapt"].update(views={"weak": {"versions": 2}}),
            "datasets.adapt.views are made from images",
        ),
        (
            lambda c: c["datasets"].update(adapt=features(path="f.npz", key="narrow")),
            "dataset 'adapt' has features of width 7, text_features of width 8",
        ),
        (
            lambda c: (
                c["datasets"].update(adapt=features(path="77c1.h5")),
                pets(c).update(text_features={"path": "text.h5"}),
            ),
            "dataset 'adapt' was made with weights 77c1 of model 'm', but text_features is 3f9a",
        ),
        (
            lambda c: (
                c["datasets"].update(adapt=features(path="77c1.h5")),
                c["models"]["mine"].update(weights="3f9a"),
            ),
            "made with weights 77c1 of model 'm', but models.mine.weights is 3f9a",
        ),
        (
            lambda c: c["datasets"].update(
                test=features(path="f.npz", key="img", labels="labels", class_names=["a", "a"])
            ),
            "datasets.test: f.npz: 'labels': class_names has a name twice",
        ),
        (
            lambda c: c["datasets"].update(adapt=features(path="f.npz", key="imgs")),
            "datasets.adapt: f.npz has no array 'imgs'. Did you mean 'img'",
        ),
    ],
)
def test_what_cannot_be_done_is_a_sentence(config, edit, sentence):
    edit(config)
    with pytest.raises(LpclipError) as error:
        complete(config)
    assert sentence in str(error.value)
    assert str(error.value).startswith("configuration")
