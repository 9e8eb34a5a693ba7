"""Settings: checked when they are built, from mappings or by hand; unknown keys are rejected."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Lt
from pydantic import ValidationError

from lpclip.errors import LpclipError
from lpclip.methods.kinds.self_training import Settings
from lpclip.utils.settings import (
    Count,
    Positive,
    Seeds,
    Share,
    Written,
    build,
    call,
    settings_class,
    written_settings,
)


@settings_class
class Inner:
    share: Share = 0.5


@settings_class
class Outer:
    name: str
    steps: Count = 3
    start: Literal["text", "zero"] = "text"
    temperature: Positive | Literal["auto"] = "auto"
    views: Sequence[Literal["weak", "strong"]] = ()
    seeds: Seeds = (0,)
    folds: Annotated[int, Ge(2), Lt(9)] | None = None
    quick: bool = False
    inner: Inner = field(default_factory=Inner)
    named: Mapping[str, Inner] = field(default_factory=dict)


@dataclass(frozen=True)
class Plain:
    """A dataclass that is not one of settings converts its values."""

    steps: int = 3


def stage(*, output: Path, seeds: Sequence[int], options: Mapping[str, Any], clip: Inner) -> Any:
    return output, seeds, options, clip


def test_defaults_stay_and_nested_mappings_become_dataclasses():
    assert build(Outer, {"name": "a"}, where="x") == Outer("a")
    given = {"name": "a", "inner": {"share": 1}, "named": {"b": {"share": 0}}}
    built = build(Outer, given, where="x")
    assert built == Outer("a", inner=Inner(1.0), named={"b": Inner(0.0)})
    assert repr(built.inner) == "Inner(share=1.0)"


def test_a_function_is_called_with_converted_arguments():
    given = {"output": "a/b.h5", "seeds": [0, 1], "options": {"k": [1]}, "clip": {"share": 0.25}}
    output, seeds, options, clip = call(stage, given, where="lpclip stage")
    assert (output, list(seeds), options, clip) == (Path("a/b.h5"), [0, 1], {"k": [1]}, Inner(0.25))


def test_a_whole_number_may_be_written_with_decimals_and_text_is_no_number():
    assert build(Outer, {"name": "a", "steps": 4.0}, where="x").steps == 4
    assert build(Plain, {"steps": "4"}, where="x").steps == 4
    with pytest.raises(LpclipError, match=r"This is text; write 4 without quotes\.$"):
        build(Outer, {"name": "a", "steps": "4"}, where="x")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"step": 1}, "method 'm' has no setting 'step'. Did you mean 'steps'?"),
        ({"steps": "many"}, "method 'm': steps is 'many'; allowed: a whole number at least 1."),
        ({"steps": 0}, "method 'm': steps is 0; allowed: a whole number at least 1."),
        ({"steps": True}, "method 'm': steps is True; allowed: a whole number at least 1."),
        ({"name": 3}, "method 'm': name is 3; allowed: text. If it is text, put it in quotes."),
        ({"start": "txet"}, "start is 'txet'; allowed: text, zero. Did you mean 'text'?"),
        ({"start": 0}, "start is 0; allowed: text, zero."),
        ({"temperature": "atuo"}, "allowed: a number greater than 0 or auto. Did you mean 'auto'?"),
        ({"temperature": "1.5"}, "greater than 0 or auto. This is text; write 1.5 without quotes."),
        ({"views": ["weak", "storng"]}, "views.1 is 'storng'; allowed: weak, strong. Did you mean"),
        ({"views": "weak"}, "views is 'weak'; allowed: a list."),
        ({"seeds": [1, 2, 1]}, "seeds has 1 twice; remove one."),
        ({"seeds": []}, "seeds is empty; give at least one."),
        ({"seeds": [-1]}, "seeds.0 is -1; allowed: a whole number at least 0."),
        ({"folds": 9}, "folds is 9; allowed: a whole number at least 2 and less than 9."),
        ({"quick": "yes"}, "quick is 'yes'; allowed: true or false."),
        ({"inner": {"shar": 1}}, "method 'm': inner has no setting 'shar'."),
        ({"inner": {"share": "x"}}, "method 'm': inner.share is 'x'; allowed: a number at least 0"),
        ({"inner": 4}, "method 'm': inner is 4; allowed: a mapping"),
        ({"named": {"b": {"share": 2}}}, "named.b.share is 2; allowed: a number at least 0 and at"),
    ],
)
def test_what_is_not_known_or_not_allowed_is_a_sentence(settings, sentence):
    with pytest.raises(LpclipError) as error:
        build(Outer, {"name": "a", **settings}, where="method 'm'")
    assert sentence in str(error.value)


def test_a_missing_setting_is_named():
    with pytest.raises(LpclipError, match=r"^method 'm' lacks the setting 'name'\.$"):
        build(Outer, {}, where="method 'm'")


@pytest.mark.parametrize(
    "changes",
    [{"rounds": -3}, {"start": "txet"}, {"memory_gb": 0}, {"teacher_decay": 1.0}, {"epochs": 3}],
)
def test_settings_that_are_built_by_hand_are_checked_too(changes):
    with pytest.raises((ValidationError, TypeError)):
        Settings(**changes)
    with pytest.raises((ValidationError, TypeError)):
        replace(Settings(), **changes)


def test_a_configuration_writes_some_settings_otherwise_and_some_not_at_all():
    @settings_class
    class Resolved:
        labelling: Annotated[Inner, Written(str)] = field(default_factory=Inner)
        view: Annotated[str, Written()] = "weak"
        rounds: int = 3

    assert written_settings(Resolved).keys() == {"labelling", "rounds"}
    assert written_settings(Resolved)["labelling"].annotation is str


def test_settings_of_a_real_method_are_built_to_the_depth():
    built = build(
        Settings,
        {"labelling": {"prior": "align"}, "optimisation": {"epochs": 2}},
        where="method 'm'",
    )
    assert (built.labelling.prior, built.optimisation.epochs) == ("align", 2)
    assert built.collapse == Settings().collapse
    # As it is in the provenance of probes.
    assert repr(built).startswith("Settings(labelling=Labelling(classes='supported', images=")
    assert repr(built).endswith("collapse=Collapse(coverage=0.5, balance=0.8, agreement=0.5))")
