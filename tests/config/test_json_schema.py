"""The JSON schema for editors is that of the code, and refuses what the code refuses."""

import copy
import json

import pytest
import yaml
from jsonschema import Draft202012Validator

from lpclip.config import json_schema
from lpclip.config.check import read
from lpclip.config.schema import Family
from lpclip.errors import LpclipError
from lpclip.transforms.corruptions.registry import FAMILIES
from tests.helpers import ROOT
from tests.helpers.merged import merged

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(json_schema.PATH.read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_the_stored_schema_is_that_of_the_code():
    stale = "stale: run python -m lpclip.config.json_schema"
    assert json_schema.PATH.read_text() == json_schema.text(), stale


def undescribed(schema, place=""):
    """Settings of a schema without a description; those of sources are described in their docs."""
    for key, value in schema.get("properties", {}).items():
        if "description" not in value and "const" not in value:
            yield f"{place}.{key}"
        # A value or a sweep of such values, which has no settings of its own.
        for one in (value, *value.get("anyOf", ())[:1]):
            yield from undescribed(one, f"{place}.{key}")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from undescribed(schema["additionalProperties"], f"{place}.*")
    for part in () if place.endswith(".source") else schema.get("allOf", ()):
        yield from undescribed(part["then"], place)


def test_every_setting_has_a_description(validator):
    assert list(undescribed(validator.schema)) == []


def test_the_families_are_those_that_there_are():
    assert Family.__args__ == tuple(FAMILIES)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_configurations_that_come_with_lpclip_are_valid(validator, path):
    given = yaml.safe_load(path.read_text())
    if not {"models", "datasets", "benchmarks"} <= given.keys():
        given = merged(CONFIG, given)
    assert [error.message for error in validator.iter_errors(given)] == []


SELF, WISE = {"kind": "self_training"}, {"kind": "wise_ft", "method": "zero_shot"}
DROPOUT, SHOTS = {"kind": "mc_dropout"}, {"kind": "few_shot"}
TEXT = {"path": "a.npz"}


@pytest.mark.parametrize(
    ("path", "good", "bad"),
    [
        (("sedes",), None, [1]),
        (("seeds",), [3], []),
        (("seeds",), [3, 4], [3, 3]),
        (("seeds",), [0], [-1]),
        (("compute", "batch_size"), "auto", "atuo"),
        (("compute", "batch_size"), 1, 0),
        (("compute", "workers"), 0, -1),
        (("compute", "threads"), 2, True),
        (("views",), {"weak": {"shift": 0.5}}, {"weak": {"shift": 0.6}}),
        (("views",), {"weak": {"smallest_crop": 1}}, {"weak": {"smallest_crop": 0}}),
        (("views",), {"strong": {"policy": "overlapping"}}, {"strong": {"policy": "disjiont"}}),
        (("views",), {"flips": ["vertical"]}, {"flips": ["diagonal"]}),
        (("views",), {"corruptions": {"severities": [1, 5]}}, {"corruptions": {"severities": [0]}}),
        (("models",), {"m": {"architecture": "a"}}, {}),
        (("models",), {"m": {"architecture": "a"}}, {"../m": {"architecture": "a"}}),
        (("models", "tiny", "precision"), "bf16", "fp61"),
        (("models", "tiny", "scale"), 1, 0),
        (("models", "tiny", "name"), None, "x"),
        (("models", "tiny", "image_size"), 32, "32"),
        (("datasets", "photos", "limit"), 1, 0),
        (("datasets", "photos", "stratified"), {"share": 1}, {"share": 1, "per_class": 2}),
        (("datasets", "photos", "stratified"), {"per_class": 1}, {}),
        (("datasets", "photos", "stratified"), {"share": 1, "rest": True}, {"rest": True}),
        (("datasets", "photos", "on_bad_image"), "skip", "ignore"),
        (("datasets", "photos", "class_map"), {"a": "b"}, {"a": ""}),
        (("datasets", "photos", "source"), {"kind": "digits", "split": "test"}, {"split": "test"}),
        (("datasets", "photos", "views"), {"weak": {"versions": 1}}, {"weka": {}}),
        (("benchmarks", "digits", "corruptions"), ["noise"], ["nosie"]),
        (("benchmarks", "digits", "class_names"), "names.txt", 3),
        (("benchmarks", "digits", "prompts"), "p.json", ["p.json"]),
        (("benchmarks", "digits", "models"), ["tiny"], []),
        (("benchmarks", "digits", "text_features"), TEXT, {"key": "a"}),
        (("benchmarks", "digits", "ood"), {"near": ["a"]}, {"nere": ["a"]}),
        (("labellings",), {"a": {"labels": "soft"}}, {"a": {"labels": "sotf"}}),
        (("labellings",), {"a": {"temperature": 0.5}}, {"a": {"temperature": 0}}),
        (("labellings",), {"a": {"threshold": 1}}, {"a": {"threshold": 1.1}}),
        (("methods",), {"m": {"kind": "zero_shot"}}, {"m": {"kind": "zeroshot"}}),
        (("methods",), {"m": {**SELF, "labelling": "a"}}, {"m": SELF}),
        (("methods", "lp_clip", "start"), "zero", "txet"),
        (("methods", "lp_clip", "rounds"), 1, -3),
        (("methods", "lp_clip", "rounds"), {"sweep": [1, 3]}, {"sweep": []}),
        (("methods", "lp_clip", "rounds"), {"sweep": [1, 3]}, {"sweep": [1, "3"]}),
        (("methods", "lp_clip", "rounds"), {"sweep": [1, 3]}, {"sweep": [1, 3, 3]}),
        (("methods", "lp_clip", "rounds"), {"sweep": [1, 3]}, {"sweep": [1], "rest": 3}),
        (("methods", "lp_clip", "optimisation"), {"sweep": [{"epochs": 2}]}, {"sweep": [2]}),
        (
            ("methods", "lp_clip", "optimisation"),
            {"learning_rate": {"sweep": [0.1, 1]}},
            {"learning_rate": {"sweep": [0.1, 0]}},
        ),
        (("methods", "lp_clip", "kind"), "self_training", {"sweep": ["self_training"]}),
        (("labellings", "auto"), {"threshold": {"sweep": [0.1]}}, {"threshold": {"sweep": [2]}}),
        (("models", "tiny", "image_size"), {"sweep": [32, 64]}, {"sweep": ["32"]}),
        (("datasets", "photos", "limit"), 1, {"sweep": [1, 2]}),
        (("methods", "lp_clip", "teacher_decay"), 0.9, 1),
        (("methods", "lp_clip", "teacher_view"), None, "weak"),
        (("methods", "lp_clip", "optimisation"), {"held_out": 0.5}, {"held_out": 1}),
        (("methods", "lp_clip_guarded", "trained"), None, {}),
        (("methods", "lp_clip_guarded", "candidates"), ["lp_clip"], []),
        (("methods", "lp_clip_guarded", "adapters"), [], ["lame"]),
        (("methods", "lp_clip_guarded", "hours"), 0.5, 0),
        (("methods", "lp_clip"), {**WISE, "alpha": 1}, {**WISE, "alpha": 2}),
        (
            ("methods", "lp_clip"),
            {**DROPOUT, "rate": 0},
            {**DROPOUT, "rate": 1},
        ),
        (
            ("methods", "lp_clip"),
            {**SHOTS, "folds": 2},
            {**SHOTS, "folds": 1},
        ),
    ],
)
def test_schema_and_code_take_and_refuse_the_same(validator, path, good, bad):
    def changed(value):
        config = copy.deepcopy(CONFIG)
        place = config
        for key in path[:-1]:
            place = place[key]
        if value is not None:
            place[path[-1]] = value
        return config

    assert validator.is_valid(changed(good))
    read(changed(good))
    assert not validator.is_valid(changed(bad))
    with pytest.raises(LpclipError, match=r"^configuration"):
        read(changed(bad))
