"""The configuration: defaults, and a short error for every mistake."""

import dataclasses
import inspect

import pytest
import yaml

from lpclip.config.check import complete, training_views
from lpclip.errors import LpclipError
from lpclip.methods.kinds import few_shot, self_training, supervised
from lpclip.methods.labelling.pseudo_labels import Labelling
from lpclip.methods.registry import kinds, load_method
from lpclip.methods.training.ensembles import OnLabels
from lpclip.methods.training.rounds import Collapse
from lpclip.methods.training.student import Optimisation
from lpclip.transforms.views import policies
from tests.helpers import ROOT

SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def test_defaults_are_filled_in_and_the_given_configuration_is_left_alone(config):
    before = yaml.safe_dump(config)
    done = complete(config, SCHEMA)
    assert yaml.safe_dump(config) == before
    assert done["views"]["strong"] == {"versions": 8, "policy": "disjoint"}
    assert done["methods"]["lp_clip"]["optimisation"]["epochs"] == 20
    assert done["benchmarks"]["digits"]["shifts"] == []


def test_methods_by_default_are_those_of_the_example_that_see_no_label(config):
    expected = complete(config, SCHEMA)
    assert expected["methods"].pop("supervised")
    del config["methods"], config["labellings"]
    done = complete(config, SCHEMA)
    assert list(done["methods"]) == list(expected["methods"])
    assert done == expected


def test_views_of_a_dataset_differ_only_where_it_says_so(config):
    config["datasets"]["digits-adapt"]["views"] = {"strong": {"versions": 3}}
    done = complete(config, SCHEMA)["datasets"]
    assert done["digits-adapt"]["views"]["strong"] == {"versions": 3, "policy": "disjoint"}
    assert done["digits-test"]["views"]["strong"]["versions"] == 8


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("sedes",), [1], "Did you mean 'seeds'?"),
        (("methods", "lp_clip", "epoch"), 3, "methods.lp_clip has an unknown key 'epoch'"),
        (("methods", "lp_clip", "optimisation"), {"epoch": 3}, "Did you mean 'epochs'?"),
        (("datasets", "photos", "views"), {"weka": {}}, "Did you mean 'weak'?"),
        (("datasets", "photos", "source", "kind"), "photo_patch", "Did you mean 'photo_patches'?"),
        (("datasets", "photos", "source", "m"), 3, "has no setting 'm'"),
        (("benchmarks", "digits", "adapt"), "digits-adpat", "Did you mean 'digits-adapt'?"),
        (("methods", "lp_clip", "labelling"), "confidant", "Did you mean 'confident'?"),
        (("methods", "lp_clip_guarded", "method"), "lp_clip_atuo", "Did you mean 'lp_clip_auto'?"),
        (("methods", "lp_clip_guarded", "method"), "supervised", "of kind 'supervised'; only"),
        (("methods", "lp_clip_guarded", "method"), "zero_shot", "of kind 'zero_shot'; only"),
        (("methods", "lp_clip_guarded", "method"), "lp_clip_guarded", "leads back to itself"),
        (("methods", "w"), {"kind": "wise_ft"}, "methods.w lacks the key 'method'"),
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
        (("methods", "lp_clip_guarded", "rounds"), 3, "has an unknown key 'rounds'"),
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
        (("datasets", "digits-test", "class_map"), "imagent", "Did you mean 'imagenet'?"),
        (("benchmarks", "digits", "shifts"), ["digits-test"], "are its 'test' already"),
        (("benchmarks", "digits", "ood"), {"near": ["letters"], "far": ["letters"]}, "'ood.near'"),
        (("benchmarks", "digits", "ood"), {"far": ["digits-adapt"]}, "are its 'adapt' already"),
        (("benchmarks", "digits", "class_names"), ["zero", True], "put it in quotes"),
        (("methods", "lp_clip", "rounds"), "1e1", "write 10 without quotes"),
        (("labellings", "auto"), {"threshold": float("nan")}, "auto.threshold is nan; give a"),
        (("views",), {"weak": {"shift": float("inf")}}, "views.weak.shift is inf"),
        (("views",), {"corruptions": {"frost_images": "nowhere"}}, "'nowhere', which is no folder"),
        (("models",), {"a/b": {"architecture": "x", "pretrained": "y"}}, "models"),
    ],
)
def test_a_mistake_is_a_sentence_that_names_the_place(config, path, value, sentence):
    place = config
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(LpclipError) as error:
        complete(config, SCHEMA)
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
        complete(config, SCHEMA)
    config["benchmarks"]["digits"]["ood"] = {"near": ["one", "two"]}
    with pytest.raises(LpclipError, match="the same images twice, as 'one' and as 'two'"):
        complete(config, SCHEMA)


def test_the_same_images_under_another_name_are_the_same_images(config):
    config["datasets"]["again"] = {**config["datasets"]["digits-test"], "seed": 0}
    config["datasets"]["digits-test"]["seed"] = 0
    config["benchmarks"]["digits"]["shifts"] = ["again"]
    with pytest.raises(LpclipError, match="'again', which has the images of 'digits-test'"):
        complete(config, SCHEMA)


def _defaults(schema):
    return {
        key: value["default"] for key, value in schema["properties"].items() if "default" in value
    }


def test_the_schema_and_the_code_have_the_same_defaults():
    schema = yaml.safe_load(SCHEMA.read_text())
    training = schema["$defs"]["self_training"]["properties"]
    pairs = [
        (schema["properties"]["labellings"]["additionalProperties"], Labelling),
        (training["optimisation"], Optimisation),
        (training["collapse"], Collapse),
        (schema["$defs"]["supervised"], supervised.Settings),
        (schema["$defs"]["few_shot"], few_shot.Settings),
        (schema["$defs"]["optimisation_on_labels"], OnLabels),
    ]
    for part, cls in pairs:
        assert _defaults(part) == dataclasses.asdict(cls())
    for kind in ("mc_dropout", "deep_ensemble", "batch_ensemble"):
        settings = load_method(kind).Settings()
        expected = {**vars(settings), "optimisation": {}}
        assert _defaults(schema["$defs"][kind]) == expected
    for kind in ("temperature_scaling", "wise_ft"):
        expected = vars(load_method(kind).Settings(method="x"))
        assert {"method": "x"} | _defaults(schema["$defs"][kind]) == expected

    simple = _defaults(schema["$defs"]["self_training"])
    for key in ("rounds", "start", "teacher_decay"):
        assert simple[key] == getattr(self_training.Settings(), key)
    resolved = training_views(simple["student_view"], images=True)
    assert resolved == (
        self_training.Settings().student_view,
        self_training.Settings().teacher_view,
    )
    weak = _defaults(schema["$defs"]["views"]["properties"]["weak"])
    for key, parameter in inspect.signature(policies.weak).parameters.items():
        if key in weak:
            assert weak[key] == parameter.default


def test_the_schema_knows_every_kind_of_method():
    schema = yaml.safe_load(SCHEMA.read_text())
    known = schema["properties"]["methods"]["additionalProperties"]["properties"]["kind"]["enum"]
    assert sorted(known) == kinds()


# The others read images that a user has; tests/workflow/test_ready_configurations.py makes some.
@pytest.mark.parametrize("name", ["ablations", "adaptation", "baselines", "glyphs"])
def test_the_ready_configurations_are_complete(config, name):
    ready = yaml.safe_load((ROOT / f"configs/{name}.yaml").read_text())
    for section, values in ready.items():
        if isinstance(values, dict):
            config.setdefault(section, {}).update(values)
        else:
            config[section] = values
    done = complete(config, SCHEMA)
    assert done["methods"].keys() >= ready.get("methods", {}).keys()


def test_the_ready_baselines_have_every_kind_of_method(config):
    ready = yaml.safe_load((ROOT / "configs/baselines.yaml").read_text())
    methods = {**config["methods"], **ready["methods"]}
    assert {method["kind"] for method in methods.values()} == set(kinds())
