"""Plugins of a configuration: where its files are, how it is checked, and which jobs they reach."""

import copy
import json
import re
import tomllib

import pytest
import yaml
from jsonschema import Draft202012Validator

from lpclip.cli.command import main
from lpclip.config import files, json_schema
from lpclip.config.check import complete, read
from lpclip.config.job_sizes import JobSize
from lpclip.config.stages import STAGES
from lpclip.errors import LpclipError
from lpclip.utils.plugins import GROUPS
from tests.helpers import ROOT
from tests.helpers.plugged import FADE, MARGIN, SHRUNK, STRIPES, forget, install, no_plugins

DEFAULT = yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.fixture(autouse=True)
def _fresh(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.syspath_prepend(tmp_path / "site")
    with no_plugins():
        yield


def config(**method):
    changed = copy.deepcopy(DEFAULT)
    changed["plugins"] = ["shrunk.py"]
    changed["methods"]["mine"] = {"kind": "shrunk", **method}
    return changed


@pytest.fixture
def written(tmp_path):
    """The plugin next to a configuration that is not in the working directory."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/shrunk.py").write_text(SHRUNK)
    return tmp_path / "configs/config.yaml"


def test_a_plugin_is_looked_for_next_to_the_configuration_and_then_here(tmp_path, written):
    assert read(config(strength=0.25), [written]).methods["mine"].settings == {"strength": 0.25}
    with no_plugins(), pytest.raises(LpclipError, match=r"plugins names 'shrunk.py', which is not"):
        read(config())
    (tmp_path / "work/shrunk.py").write_text(SHRUNK)
    with no_plugins():
        read(config())


@pytest.mark.parametrize(
    ("method", "sentence"),
    [
        ({"strenght": 0.2}, "methods.mine has no setting 'strenght'. Did you mean 'strength'?"),
        ({"strength": 2}, "methods.mine.strength is 2; allowed: a number at least 0 and at most 1"),
        ({"kind": "shrnk"}, "Did you mean 'shrunk'?"),
    ],
)
def test_its_settings_are_checked_like_those_of_lpclip_s_kinds(written, method, sentence):
    with pytest.raises(LpclipError) as error:
        read(config(**method), [written])
    assert sentence in str(error.value)


@pytest.mark.parametrize("value", ["shrunk.py", [1], {"a": "b"}, ["shrunk.py", "shrunk.py"]])
def test_plugins_that_are_no_list_of_names_are_refused(written, value):
    with pytest.raises(LpclipError, match=r"^configuration: plugins"):
        read(config() | {"plugins": value}, [written])


def test_the_name_of_one_of_lpclip_s_kinds_is_refused_even_where_it_is_not_used(written):
    (written.parent / "otter.py").write_text(SHRUNK)
    with pytest.raises(LpclipError, match=r"otter\.py adds the method 'otter', which"):
        read(DEFAULT | {"plugins": ["otter.py"]}, [written])


def test_only_jobs_of_a_kind_receive_its_file_and_its_code(written):
    checked = complete(config(), [written])
    of_pair = {"model": "tiny", "benchmark": "digits"}
    given = {
        (rule, *more.values()): STAGES[rule](checked, {**of_pair, **more})
        for rule, more in (
            *(("train_probe", {"method": name}) for name in ("mine", "lp_clip")),
            ("embed_images", {"dataset": "digits-test", "views": "clean"}),
            ("evaluate", {"dataset": "digits-test"}),
            ("report", {}),
        )
    }
    assert [key for key, one in given.items() if "plugins" in one] == [("train_probe", "mine")]
    mine = given["train_probe", "mine"]
    assert mine["plugins"] == [str(written.parent / "shrunk.py")]
    (written.parent / "shrunk.py").write_text(SHRUNK.replace("0.5", "0.6"))
    forget()
    again = STAGES["train_probe"](checked, {**of_pair, "method": "mine"})
    assert again["code"] != mine["code"]
    other = STAGES["train_probe"](checked, {**of_pair, "method": "lp_clip"})
    assert other == given["train_probe", "lp_clip"]


def test_a_plugin_in_the_working_directory_has_a_relative_path(tmp_path):
    (tmp_path / "work/shrunk.py").write_text(SHRUNK)
    checked = complete(config(), [tmp_path / "work/config.yaml"])
    wildcards = {"model": "tiny", "benchmark": "digits", "method": "mine"}
    assert STAGES["train_probe"](checked, wildcards)["plugins"] == ["shrunk.py"]


def with_score(**score):
    scored = copy.deepcopy(DEFAULT)
    return scored | {"plugins": ["margin.py"], "scores": {"mine": {"kind": "margin", **score}}}


def test_scores_of_plugins_reach_the_stages_that_compute_them(capsys, written):
    (written.parent / "margin.py").write_text(MARGIN)
    written.write_text(yaml.safe_dump(with_score()))
    for given, sentence in (
        ({"temperature": 0}, "scores.mine.temperature is 0; allowed: a number greater than 0"),
        ({"kind": "magrin"}, "scores.mine.kind is 'magrin', which no plugin adds. Did you mean"),
    ):
        with pytest.raises(LpclipError, match=re.escape(sentence)):
            read(with_score(**given), [written])
    taken = with_score()
    taken["scores"]["energy"] = taken["scores"].pop("mine")
    with pytest.raises(LpclipError, match=r"scores\.energy has a name that lpclip uses"):
        complete(taken, [written])
    checked = complete(with_score(), [written])
    wildcards = {"model": "tiny", "benchmark": "digits", "method": "lp_clip", "dataset": "letters"}
    for rule in ("evaluate_ood", "evaluate_held_out"):
        given = STAGES[rule](checked, wildcards)
        assert given["scores"] == {"mine": {"kind": "margin", "temperature": 1.0}}
        assert given["plugins"] == [str(written.parent / "margin.py")]
    plain = complete(DEFAULT)
    assert STAGES["evaluate_held_out"](plain, wildcards).keys() == {"code"}
    validator = Draft202012Validator(schema_of(capsys, str(written)))
    assert validator.is_valid(with_score(temperature=2))
    assert not validator.is_valid(with_score(temperature=0))
    assert read(checked.as_mapping(), [written]).scores == checked.scores


def with_corruption(**corruption):
    stripes = {"kind": "stripes", **corruption}
    return copy.deepcopy(DEFAULT) | {"plugins": ["stripes.py"], "corruptions": {"mine": stripes}}


def test_a_corruption_of_a_plugin_is_a_pass_of_its_own(written):
    (written.parent / "stripes.py").write_text(STRIPES)
    checked = complete(with_corruption(grey=0.25), [written])
    digits = checked.benchmarks["digits"]
    assert digits.more_corruptions == ("mine",)
    assert files.evaluated_passes(checked, digits)[-1] == ("digits-test", "mine")
    wildcards = {"model": "tiny", "dataset": "digits-test", "views": "mine"}
    given = STAGES["embed_images"](checked, wildcards)
    view = {"kind": "stripes", "settings": {"grey": 0.25}, "severities": [1, 2, 3, 4, 5]}
    assert given["views"] == {"mine": view}
    assert given["plugins"] == [str(written.parent / "stripes.py")]
    before = complete(DEFAULT)
    for views in files.PASSES:
        of_pass = wildcards | {"views": views}
        assert STAGES["embed_images"](checked, of_pass) == STAGES["embed_images"](before, of_pass)
    assert read(checked.as_mapping(), [written]).corruptions == checked.corruptions
    sizes = JobSize(checked, lambda _: 100, wildcards).of("embed_images")
    assert (sizes.images, sizes.versions) == (500, 5)


def test_a_benchmark_names_corruptions_of_plugins_or_none(written):
    (written.parent / "stripes.py").write_text(STRIPES)
    config = with_corruption()
    config["benchmarks"]["digits"]["more_corruptions"] = []
    checked = complete(config, [written])
    assert ("digits-test", "mine") not in files.evaluated_passes(
        checked, checked.benchmarks["digits"]
    )
    config["benchmarks"]["digits"]["more_corruptions"] = ["mime"]
    with pytest.raises(LpclipError, match="names corruption 'mime', which is not defined"):
        complete(config, [written])
    for name in ("noise", "frost", "clean", "standard_corruptions"):
        taken = with_corruption()
        taken["corruptions"] = {name: taken["corruptions"]["mine"]}
        with pytest.raises(LpclipError, match=f"corruptions.{name} has a name that lpclip uses"):
            complete(taken, [written])


def with_view(**view):
    views = {"strong": {"made_by": {"kind": "fade", **view}}}
    return copy.deepcopy(DEFAULT) | {"plugins": ["fade.py"], "views": views}


def test_a_view_of_a_plugin_reaches_the_pass_of_views_alone(capsys, written):
    (written.parent / "fade.py").write_text(FADE)
    written.write_text(yaml.safe_dump(with_view()))
    checked, before = complete(with_view(least=0.25), [written]), complete(DEFAULT)
    wildcards = {"model": "tiny", "dataset": "digits-adapt"}
    for views in files.PASSES:
        given, usual = (
            STAGES["embed_images"](one, wildcards | {"views": views}) for one in (checked, before)
        )
        assert (given != usual) == (views == "adapt")
        if views == "adapt":
            assert given["views"]["strong"]["made_by"] == {"kind": "fade", "least": 0.25}
            assert given["plugins"] == [str(written.parent / "fade.py")]
            assert given["views"]["weak"] == usual["views"]["weak"]
    with pytest.raises(LpclipError, match=r"views\.strong\.made_by\.least is 2; allowed"):
        read(with_view(least=2), [written])
    assert read(checked.as_mapping(), [written]).views.strong == checked.views.strong
    validator = Draft202012Validator(schema_of(capsys, str(written)))
    of_dataset = with_view()
    of_dataset["datasets"]["photos"]["views"] = {"weak": {"made_by": {"kind": "fade", "least": 1}}}
    for config in (with_view(least=0.25), of_dataset):
        assert validator.is_valid(config)
        read(config, [written])
    assert not validator.is_valid(with_view(least=2))
    of_dataset["datasets"]["photos"]["views"]["weak"]["made_by"]["least"] = 2
    assert not validator.is_valid(of_dataset)


def schema_of(capsys, *arguments):
    main(["schema", *arguments])
    schema = json.loads(capsys.readouterr().out)
    Draft202012Validator.check_schema(schema)
    return schema


def test_the_printed_schema_knows_the_kinds_of_files_that_a_configuration_names(capsys, written):
    written.write_text(yaml.safe_dump(config(strength=0.25)))
    assert schema_of(capsys) == json_schema.json_schema()
    with no_plugins():
        validator = Draft202012Validator(schema_of(capsys, str(written)))
    assert validator.is_valid(config(strength=0.25))
    assert not validator.is_valid(config(strength=2))
    assert not validator.is_valid(config(strenght=0.25))
    assert "0 is zero-shot." in json.dumps(validator.schema)


def test_the_printed_schema_knows_the_kinds_of_packages_and_the_stored_one_does_not(
    capsys, tmp_path
):
    modules = {"their_package.py": SHRUNK}
    install(tmp_path / "site", "theirs", "methods", {"shrunk": "their_package"}, modules)
    forget()
    assert Draft202012Validator(schema_of(capsys)).is_valid(config())
    assert json_schema.text() == json_schema.PATH.read_text()


def test_help_lists_what_is_installed_and_what_settings_name(capsys, tmp_path, written):
    modules = {"their_package.py": SHRUNK}
    install(tmp_path / "site", "theirs", "methods", {"theirs": "their_package"}, modules)
    forget()
    main(["--help"])
    assert "  method      theirs (the package theirs)" in capsys.readouterr().out
    settings = json.dumps({"plugins": [str(written.parent / "shrunk.py")]})
    with pytest.raises(SystemExit):
        main(["train-probe", "--settings", settings, "--help"])
    shown = capsys.readouterr().out
    assert "  theirs (The package theirs): strength: 0.5" in shown
    assert "shrunk.py): strength: 0.5" in shown


def test_a_package_of_the_page_s_files_adds_their_kinds(tmp_path):
    page = (ROOT / "docs/extend.md").read_text(encoding="utf-8")
    block = r"^`(\w+\.py)`:\n\n```python\n(.*?)^```$"
    modules = dict(re.findall(block, page, re.MULTILINE | re.DOTALL))
    (text,) = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    groups = tomllib.loads(text)["project"]["entry-points"]
    assert {name.removeprefix("lpclip.") for name in groups} == GROUPS.keys()
    site = tmp_path / "site"
    for name, text in {"__init__.py": "", **modules}.items():
        (site / "their_package").mkdir(parents=True, exist_ok=True)
        (site / "their_package" / name).write_text(text)
    for group, entries in groups.items():
        theirs = {kind: one.replace("my_package", "their_package") for kind, one in entries.items()}
        install(site, f"their_{group[7:]}", group.removeprefix("lpclip."), theirs, {})
    forget()
    properties = json_schema.json_schema(plugins=True)["properties"]
    dataset = properties["datasets"]["additionalProperties"]["properties"]
    for place, kind in (
        (properties["methods"]["additionalProperties"], "shrunk"),
        (dataset["source"], "gradients"),
        (properties["scores"]["additionalProperties"], "margin"),
        (properties["corruptions"]["additionalProperties"], "stripes"),
        (dataset["views"]["properties"]["strong"]["properties"]["made_by"], "cutout"),
    ):
        assert kind in place["properties"]["kind"]["enum"]


def test_settings_of_a_command_that_name_no_list_are_refused(capsys):
    with pytest.raises(SystemExit):
        main(["train-probe", "--text", "t", "--output", "o", "--settings", '{"plugins": "a.py"}'])
    assert "plugins is a list of paths" in capsys.readouterr().err


def test_what_is_no_configuration_has_no_schema(capsys, tmp_path):
    (tmp_path / "list.yaml").write_text("- a\n")
    with pytest.raises(SystemExit):
        main(["schema", str(tmp_path / "list.yaml")])
    assert "is no configuration" in capsys.readouterr().err
