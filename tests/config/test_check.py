"""The configuration: defaults, and a short error for every mistake."""

import pytest
import yaml

from lpclip.config.check import complete
from lpclip.errors import LpclipError
from lpclip.methods.registry import kinds
from lpclip.transforms.views.policies import Strong
from tests.helpers import ROOT
from tests.helpers.merged import merged


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def test_defaults_are_filled_in_and_the_given_configuration_is_left_alone(config):
    before = yaml.safe_dump(config)
    done = complete(config)
    assert yaml.safe_dump(config) == before
    assert done.views.strong == Strong(versions=8, policy="disjoint")
    assert done.methods["lp_clip"].settings["optimisation"].epochs == 20
    assert done.benchmarks["digits"].shifts == ()


def test_methods_by_default_are_those_of_the_example_that_see_no_label(config):
    expected = complete(config).as_mapping()
    assert expected["methods"].pop("supervised")
    del config["methods"], config["labellings"]
    done = complete(config).as_mapping()
    assert list(done["methods"]) == list(expected["methods"])
    assert done == expected


def test_views_of_a_dataset_differ_only_where_it_says_so(config):
    config["datasets"]["digits-adapt"]["views"] = {"strong": {"versions": 3}}
    done = complete(config).datasets
    assert done["digits-adapt"].views.strong == Strong(versions=3, policy="disjoint")
    assert done["digits-test"].views.strong.versions == 8


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("sedes",), [1], "Did you mean 'seeds'?"),
        (("methods", "lp_clip", "epoch"), 3, "methods.lp_clip has no setting 'epoch'"),
        (("methods", "lp_clip", "optimisation"), {"epoch": 3}, "Did you mean 'epochs'?"),
        (("datasets", "photos", "views"), {"weka": {}}, "Did you mean 'weak'?"),
        (("datasets", "photos", "source", "kind"), "photo_patch", "Did you mean 'photo_patches'?"),
        (("datasets", "photos", "source", "m"), 3, "has no setting 'm'"),
        (("benchmarks", "digits", "adapt"), "digits-adpat", "Did you mean 'digits-adapt'?"),
        (("methods", "lp_clip", "labelling"), "confidant", "Did you mean 'confident'?"),
        (
            ("methods", "lp_clip_guarded", "candidates"),
            ["lp_clip_atuo"],
            "Did you mean 'lp_clip_auto'?",
        ),
        (
            ("methods", "lp_clip_guarded", "candidates"),
            ["supervised"],
            "of kind 'supervised'; only",
        ),
        (("methods", "lp_clip_guarded", "candidates"), ["zero_shot"], "of kind 'zero_shot'; only"),
        (
            ("methods", "lp_clip_guarded", "candidates"),
            ["lp_clip_guarded"],
            "of kind 'guarded'; only",
        ),
        (
            ("methods", "lp_clip_guarded", "candidates"),
            [],
            "candidates is empty; give at least one",
        ),
        (("methods", "lp_clip_guarded", "candidates"), ["lp_clip", "lp_clip"], "'lp_clip' twice"),
        (("methods", "lp_clip_guarded", "adapters"), ["inmpa"], "is 'inmpa'; allowed: stata"),
        (("methods", "lp_clip_guarded", "hours"), 0, "methods.lp_clip_guarded.hours"),
        (("methods", "lp_clip_guarded", "trained"), {}, "has no setting 'trained'"),
        (("methods", "lp_clip", "student_view"), "clean", "'lp_clip', which learns from the clean"),
        (("methods", "w"), {"kind": "wise_ft"}, "methods.w lacks the setting 'method'"),
        (("methods", "w"), {"kind": "wise_ft", "method": "lp_clpi"}, "Did you mean 'lp_clip'?"),
        (("methods", "w"), {"kind": "wise_ft", "method": "w"}, "leads back to itself: w -> w."),
        (("methods", "t"), {"kind": "temperature_scaling", "method": "t"}, "leads back to itself"),
        (("methods", "w"), {"kind": "wise_ft", "method": "lp_clip", "alpha": 2}, "methods.w.alpha"),
        (("methods", "w"), {"kind": "wise_tf", "method": "lp_clip"}, "methods.w.kind is 'wise_tf'"),
        (("methods", "d"), {"kind": "mc_dropout", "rates": 0.1}, "Did you mean 'rate'?"),
        (("methods", "d"), {"kind": "mc_dropout", "rate": 1}, "methods.d.rate"),
        (("methods", "d"), {"kind": "deep_ensemble", "member": 3}, "Did you mean 'members'?"),
        (("methods", "d"), {"kind": "batch_ensemble", "spred": 3}, "Did you mean 'spread'?"),
        (("methods", "supervised"), {"kind": "few_shot", "shot": 4}, "Did you mean 'shots'?"),
        (("methods", "supervised", "label_shares"), 0.5, "Did you mean 'label_share'?"),
        (("methods", "lp_clip_guarded", "rounds"), 3, "has no setting 'rounds'"),
        (("benchmarks", "digits", "templates"), ["no place"], "needs {} in the place"),
        (("benchmarks", "digits", "class_names"), ["a", "b"], "the benchmark 2 class names"),
        (("benchmarks", "digits", "adapt"), "photos", "needs labels of dataset 'photos'"),
        (("benchmarks", "digits", "test"), "photos", "no labelled test set"),
        (("views",), {"corruptions": {"severities": [6]}}, "is 6; allowed: 1, 2, 3, 4, 5"),
        (("methods", "lp_clip", "rounds"), 0, "methods.lp_clip.rounds"),
        (("datasets", "photos", "limti"), 3, "Did you mean 'limit'?"),
        (("datasets", "photos", "limit"), 0, "datasets.photos.limit"),
        (("datasets", "photos", "on_bad_image"), "ignore", "allowed: error, skip"),
        (("datasets", "photos", "stratified"), {"share": 0.5}, "photos.stratified needs labels"),
        (("datasets", "digits-test", "stratified"), {"shares": 0.5}, "Did you mean 'share'?"),
        (("datasets", "digits-test", "stratified"), {}, "datasets.digits-test.stratified"),
        (("datasets", "photos", "class_map"), {"a": "b"}, "photos: class_map renames classes, but"),
        (("datasets", "digits-test", "class_map"), {"a": "b"}, "class '0' is not in class_map"),
        (("datasets", "digits-test", "class_map"), {0: ""}, "class_map.0 is empty; give at least"),
        (("datasets", "digits-test", "class_map"), {0: "a"}, "class '1' is not in class_map"),
        (("datasets", "digits-test", "class_map"), "imagent", "Did you mean 'imagenet'?"),
        (("benchmarks", "digits", "shifts"), ["digits-test"], "are its 'test' already"),
        (("benchmarks", "digits", "ood"), {"near": ["letters"], "far": ["letters"]}, "'ood.near'"),
        (("benchmarks", "digits", "ood"), {"far": ["digits-adapt"]}, "are its 'adapt' already"),
        (("benchmarks", "digits", "class_names"), ["zero", True], "put it in quotes"),
        (("methods", "lp_clip", "rounds"), "1e1", "write 10 without quotes"),
        (("labellings", "auto"), {"threshold": float("nan")}, "auto.threshold is nan; give a"),
        (("views",), {"weak": {"shift": float("inf")}}, "views.weak.shift is inf"),
        (("views",), {"corruptions": {"frost_images": "nowhere"}}, "'nowhere', which is no folder"),
        (("methods", "lp_clip", "start"), "txet", "Did you mean 'text'?"),
        (("methods", "w"), {"kind": "wise_tf", "method": "lp_clip"}, "Did you mean 'wise_ft'?"),
        (("labellings", "auto"), {"prior": "sinkhron"}, "Did you mean 'sinkhorn'?"),
        (("labellings", "auto"), None, "labellings.auto is empty; give a value, or remove the key"),
        (
            ("labellings",),
            {"a": {"labels": "hrad"}},
            "labellings.a.labels is 'hrad'; allowed: hard",
        ),
        (("benchmarks", "digits", "corruptions"), ["nosie"], "corruptions.0 is 'nosie'; allowed:"),
        (("datasets", "photos", "source"), {"n": 3}, "photos.source lacks the setting 'kind'"),
        (("datasets", "photos", "views"), 3, "datasets.photos.views is 3; allowed: a mapping"),
        (("models", "tiny", "precision"), "fp61", "precision is 'fp61'; allowed: auto, fp32, bf16"),
        (("compute", "batch_size"), 0, "allowed: a whole number at least 1 or auto."),
        (("seeds",), [], "seeds is empty; give at least one."),
        (("seeds",), [1, 1], "seeds has 1 twice"),
        (("methods",), {}, "methods is empty; give at least one."),
        (("methods", "lp_clip"), 3, "methods.lp_clip is 3; allowed: a mapping"),
        (("models",), {"a/b": {"architecture": "x", "pretrained": "y"}}, "models"),
    ],
)
def test_a_mistake_is_a_sentence_that_names_the_place(config, path, value, sentence):
    place = config
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(LpclipError) as error:
        complete(config)
    assert sentence in str(error.value)
    assert str(error.value).startswith("configuration")


@pytest.mark.parametrize("spelling", ["a/../images", "images/"])
def test_images_are_the_same_however_their_path_is_spelled(config, tmp_path, monkeypatch, spelling):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "a").mkdir()
    for name, root in (("one", "images"), ("two", spelling)):
        source = {"kind": "folder", "root": root, "labelled": False}
        config["datasets"][name] = {"source": source}
    config["benchmarks"]["digits"]["ood"] = {"near": ["one"], "far": ["two"]}
    with pytest.raises(LpclipError, match="'two', which has the images of 'one'"):
        complete(config)
    config["benchmarks"]["digits"]["ood"] = {"near": ["one", "two"]}
    with pytest.raises(LpclipError, match="the same images twice, as 'one' and as 'two'"):
        complete(config)


def test_the_same_images_under_another_name_are_the_same_images(config):
    config["datasets"]["again"] = {**config["datasets"]["digits-test"], "seed": 0}
    config["datasets"]["digits-test"]["seed"] = 0
    config["benchmarks"]["digits"]["shifts"] = ["again"]
    with pytest.raises(LpclipError, match="'again', which has the images of 'digits-test'"):
        complete(config)


# The others read images that a user has; tests/workflow/test_ready_configurations.py makes some.
@pytest.mark.parametrize(
    "names", ["ablations", "transductive adapters", "adaptation", "baselines", "glyphs", "sweep"]
)
def test_the_ready_configurations_are_complete(config, names):
    for name in names.split():
        ready = yaml.safe_load((ROOT / f"configs/{name}.yaml").read_text())
        config = merged(config, ready)
    done = complete(config)
    written = {point.sweep for point in done.sweeps.methods.values()}
    assert done.methods.keys() | written >= ready.get("methods", {}).keys()


def test_the_ready_baselines_and_adapters_have_every_kind_of_method(config):
    methods = dict(config["methods"])
    for name in ("baselines", "adapters"):
        ready = yaml.safe_load((ROOT / f"configs/{name}.yaml").read_text())
        methods |= ready["methods"]
    assert {method["kind"] for method in methods.values()} == set(kinds())
