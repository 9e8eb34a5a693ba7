"""Sweeps: which entries a configuration with lists of values has, and which ones are refused."""

import copy

import pytest
import yaml

from lpclip.config.check import complete
from lpclip.config.files import method_inputs
from lpclip.config.jobs import Jobs
from lpclip.config.sweep_grid import MOST_POINTS
from lpclip.config.sweep_names import point_name, short_key, value_text
from lpclip.config.sweeps import expand
from lpclip.errors import LpclipError
from tests.helpers import ROOT

DEFAULT = yaml.safe_load((ROOT / "config.yaml").read_text())
RATE = "method.optimisation.learning_rate"


def of(*values):
    return {"sweep": list(values)}


def config(**changes):
    """The default with changes of entries: methods__lp_clip={"rounds": …}."""
    found = copy.deepcopy(DEFAULT)
    for place, change in changes.items():
        section, name = place.split("__")
        found[section][name] = found[section].get(name, {}) | change
    return found


def swept_rates(*values):
    return config(methods__lp_clip={"optimisation": {"learning_rate": of(*values)}})


def varied(points):
    return {name: dict(point.varied) for name, point in points.items()}


def test_values_make_one_method_each_in_the_place_of_the_written_one():
    checked = complete(swept_rates(1e-4, 3e-4))
    rest = list(DEFAULT["methods"])[2:]
    names = ["lp_clip_learning_rate_1e-4", "lp_clip_learning_rate_3e-4"]
    assert list(checked.methods) == ["zero_shot", *names, *rest]
    for name, rate in zip(names, (1e-4, 3e-4), strict=True):
        plain = config(methods__lp_clip={"optimisation": {"learning_rate": rate}})
        assert checked.methods[name] == complete(plain).methods["lp_clip"]
    assert varied(checked.sweeps.methods) == {names[0]: {RATE: 1e-4}, names[1]: {RATE: 3e-4}}
    assert {point.sweep for point in checked.sweeps.methods.values()} == {"lp_clip"}


def test_several_sweeps_make_a_grid_and_exponents_without_a_point_are_numbers():
    # YAML reads 1e-4 as text.
    given = yaml.safe_load("{sweep: [1e-4, 3.0e-4]}")
    assert given == of("1e-4", 3e-4)
    grid = {"rounds": of(1, 5), "optimisation": {"learning_rate": given}}
    found = varied(complete(config(methods__lp_clip=grid)).sweeps.methods)
    assert list(found.values()) == [
        {"method.rounds": rounds, RATE: rate} for rounds in (1, 5) for rate in (1e-4, 3e-4)
    ]
    assert list(found)[1] == "lp_clip_rounds_1_learning_rate_3e-4"


def test_a_labelling_multiplies_its_methods_and_those_that_are_made_from_them():
    given = config(
        labellings__confident={"threshold": of(0.3, 0.5)},
        methods__lp_clip={"rounds": of(1, 5)},
        methods__between={"kind": "wise_ft", "method": "lp_clip"},
    )
    checked = complete(given)
    assert list(checked.labellings) == [
        "auto", "confident_threshold_0.3", "confident_threshold_0.5", "aligned",
    ]  # fmt: skip
    points = varied(checked.sweeps.methods)
    assert len(points) == 8
    name = "lp_clip_rounds_5_threshold_0.3"
    assert points[name] == {"method.rounds": 5, "labelling.threshold": 0.3}
    assert checked.methods[name].labelling == "confident_threshold_0.3"
    between = "between_rounds_5_threshold_0.3"
    assert points[between] == {"base.method.rounds": 5, "base.labelling.threshold": 0.3}
    assert checked.methods[between].base == name


def test_a_guard_gets_all_points_of_a_candidate_also_of_the_usual_ones():
    expected = ["lp_clip_auto", "lp_clip_balanced", "lp_clip_rounds_1", "lp_clip_rounds_5"]
    given = config(methods__lp_clip={"rounds": of(1, 5)})
    assert complete(given).methods["lp_clip_guarded"].candidates == expected
    del given["methods"]["lp_clip_guarded"]["candidates"]
    assert complete(given).methods["lp_clip_guarded"].candidates == expected


def test_the_usual_methods_are_multiplied_by_their_labellings():
    given = config(labellings__auto={"top_k": of(0, 5)})
    del given["methods"]
    checked = complete(given)
    points = ["lp_clip_auto_top_k_0", "lp_clip_auto_top_k_5"]
    assert list(checked.sweeps.methods) == points
    assert checked.methods["lp_clip_guarded"].candidates[:2] == points


def test_models_are_swept_where_benchmarks_name_them_and_where_they_do_not():
    given = config(models__tiny={"image_size": of(32, 64)})
    points = ["tiny_image_size_32", "tiny_image_size_64"]
    assert [model for model, _ in complete(given).pairs()] == points
    given["benchmarks"]["digits"]["models"] = ["tiny"]
    checked = complete(given)
    assert checked.benchmarks["digits"].models == points
    assert varied(checked.sweeps.models)[points[0]] == {"model.image_size": 32}


def test_a_further_value_changes_no_stage_of_the_points_that_there_are():
    few, more = complete(swept_rates(1e-4, 3e-4)), complete(swept_rates(1e-3, 1e-4, 3e-4))
    where = {"model": "tiny", "benchmark": "digits"}
    for name in few.sweeps.methods:
        job = {**where, "method": name}
        assert Jobs(few).param("train_probe", job) == Jobs(more).param("train_probe", job)
        assert method_inputs(few, job) == method_inputs(more, job)
    given = Jobs(more).settings("report", {})
    assert given["sweeps"]["methods"]["lp_clip_learning_rate_1e-3"] == {
        "sweep": "lp_clip",
        "varied": {RATE: 1e-3},
    }
    assert "sweeps" not in Jobs(complete(DEFAULT)).settings("report", {})


def test_without_a_sweep_nothing_is_changed():
    given, sweeps = expand(DEFAULT)
    assert given == DEFAULT
    assert vars(sweeps) == {"models": {}, "labellings": {}, "methods": {}}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"methods__lp_clip": {"rounds": of()}}, "lp_clip.rounds.sweep is empty; give at least"),
        ({"methods__lp_clip": {"rounds": of(1, 5, 1.0)}}, "rounds.sweep has 1.0 twice; remove"),
        ({"methods__lp_clip": {"rounds": {"sweep": 3}}}, "rounds.sweep is 3; give a list"),
        ({"methods__lp_clip": {"rounds": {"sweep": [3], "swep": 1}}}, "keys swep next to 'sweep'"),
        ({"methods__lp_clip": {"kind": of("stata", "inmap")}}, "lp_clip.kind cannot be swept"),
        (
            {"methods__lp_clip": {"optimisation": of({"epochs": of(1, 2)})}},
            "lp_clip.optimisation.sweep has a sweep inside",
        ),
        (
            {"methods__lp_clip": {"rounds": of(*range(1, MOST_POINTS + 2))}},
            f"methods.lp_clip has 201 points.*at most {MOST_POINTS}.*write several entries",
        ),
        (
            {"methods__lp_clip": {"rounds": of(1, 5)}, "methods__lp_clip_rounds_5": {"kind": "x"}},
            "methods.lp_clip_rounds_5 is defined, but a point of the sweep methods.lp_clip",
        ),
        (
            {"methods__lp_clip": {"labelling": of("1", 1)}},
            "two points of the sweep methods.lp_clip would be called 'lp_clip_labelling_1'",
        ),
        ({"datasets__photos": {"limit": of(1, 2)}}, "datasets.photos.limit is a sweep, but only"),
        # What a point must not be is said of its key, and which point it is.
        (
            {"methods__lp_clip": {"optimisation": {"learning_rate": of(1e-4, -1)}}},
            "optimisation.learning_rate is -1; allowed: a number greater than 0. "
            f"'lp_clip_learning_rate_-1' is the point {RATE} = -1 of the sweep methods.lp_clip",
        ),
        (
            {"labellings__auto": {"threshold": of(0.3, 1.5)}},
            "threshold is 1.5; allowed.* labelling.threshold = 1.5 of the sweep labellings.auto",
        ),
        (
            {"methods__lp_clip": {"labelling": of("confident", "auot")}},
            "labelling 'auot', which is not defined. Did you mean 'auto'.*sweep methods.lp_clip",
        ),
        (
            {"methods__lp_clip": {"ronds": of(1, 5)}},
            "has no setting 'ronds'. Did you mean 'rounds'",
        ),
        (
            {
                "methods__a": {"kind": "wise_ft", "method": "b", "alpha": of(0.1, 0.2)},
                "methods__b": {"kind": "wise_ft", "method": "a"},
            },
            "methods.a.method leads back to itself: a -> b -> a.",
        ),
    ],
)
def test_what_is_refused_and_why(changes, error):
    with pytest.raises(LpclipError, match=rf"^configuration: .*{error}"):
        complete(config(**changes))


def test_an_entry_that_is_a_sweep_itself_is_refused():
    given = config()
    given["methods"]["lp_clip"] = of({"kind": "stata"})
    with pytest.raises(LpclipError, match=r"methods\.lp_clip is a sweep itself\."):
        complete(given)


def test_different_values_have_different_names_that_can_be_parts_of_paths():
    values = [
        *(1e-4, 1.5e-4, 0.05, 0.5, 1, 2, 1e7, True, "both", "a/b", "a b", "../x", "é", [], ["a"]),
        *(["a", "b"], {"epochs": 3}, {"epochs": 4}, "x" * 300, "x" * 301),
    ]
    texts = [value_text(value) for value in values]
    assert len(set(texts)) == len(values)
    for text in texts:
        name = point_name("m", [("method.alpha", text)], {"method.alpha"})
        assert name.replace(".", "").replace("_", "").replace("-", "").isalnum()
        assert name.isascii()
        assert len(name) < 150


def test_the_short_key_is_longer_where_it_would_be_ambiguous():
    settings = {"method.optimisation.size", "method.collapse.size", "method.candidates.1"}
    assert short_key("method.optimisation.size", settings) == "optimisation.size"
    assert short_key("method.candidates.1", settings) == "candidates.1"
    assert short_key("method.rounds", settings | {"method.rounds"}) == "rounds"


REFERENCES = [
    ("methods__w", {"kind": "wise_ft", "method": "grid_rounds_2"}, "methods.w.method names method"),
    ("methods__w", {"kind": "guarded", "candidates": ["grid_rounds_2"]}, "methods.w.candidates"),
]


@pytest.mark.parametrize(("place", "entry", "where"), REFERENCES)
def test_a_point_that_is_not_there_is_refused_with_those_that_are(place, entry, where):
    swept = {"kind": "self_training", "labelling": "auto", "rounds": of(1, 3)}
    given = config(methods__grid=swept, **{place: entry})
    with pytest.raises(LpclipError) as error:
        complete(given)
    text = str(error.value)
    assert text.startswith(f"configuration: {where}")
    assert "'grid_rounds_2', which is not defined. Did you mean 'grid_rounds_" in text
    assert "grid, grid_rounds_1, grid_rounds_3, " in text
    assert text.endswith(" Sweeps, whose names stand for all of their points: grid.")


def test_a_sweep_is_suggested_by_the_name_that_it_has_in_the_file():
    given = config(
        methods__self_trained={"kind": "self_training", "labelling": "auto", "rounds": of(1, 3)},
        methods__w={"kind": "wise_ft", "method": "self_traind"},
    )
    with pytest.raises(LpclipError, match=r"Did you mean 'self_trained'\?"):
        complete(given)
    given["methods"]["w"]["method"] = "self_trained"
    assert {"w_rounds_1", "w_rounds_3"} <= set(complete(given).methods)


def test_labellings_that_are_not_there_are_refused_with_their_sweeps():
    given = config(
        labellings__confident={"threshold": of(0.3, 0.5)},
        methods__lp_clip={"labelling": "confident_threshold_0.4"},
    )
    with pytest.raises(LpclipError, match=r"confident_threshold_0\.5.* points: confident\.$"):
        complete(given)


@pytest.mark.parametrize("named", ["b", of("b"), of("lp_clip", "b")])
def test_swept_methods_that_are_made_from_each_other_are_refused_by_their_names(named):
    given = config(
        methods__a={"kind": "wise_ft", "method": named, "alpha": of(0.1, 0.5)},
        methods__b={"kind": "temperature_scaling", "method": "a"},
    )
    with pytest.raises(
        LpclipError, match=r"methods\.a\.method leads back to itself: a -> b -> a\."
    ):
        complete(given)
