"""Settings: mappings become typed arguments; unknown keys are rejected."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lpclip.errors import LpclipError
from lpclip.methods.kinds.self_training import Settings
from lpclip.utils.settings import build, call


@dataclass(frozen=True)
class Inner:
    share: float = 0.5


@dataclass(frozen=True)
class Outer:
    name: str
    steps: int = 3
    inner: Inner = field(default_factory=Inner)


def stage(*, output: Path, seeds: Sequence[int], options: Mapping[str, Any], clip: Inner) -> Any:
    return output, seeds, options, clip


def test_defaults_stay_and_nested_mappings_become_dataclasses():
    assert build(Outer, {"name": "a"}, where="x") == Outer("a")
    assert build(Outer, {"name": "a", "inner": {"share": 1}}, where="x") == Outer(
        "a", inner=Inner(1.0)
    )


def test_a_function_is_called_with_converted_arguments():
    given = {"output": "a/b.h5", "seeds": [0, 1], "options": {"k": [1]}, "clip": {"share": 0.25}}
    output, seeds, options, clip = call(stage, given, where="lpclip stage")
    assert (output, list(seeds), options, clip) == (Path("a/b.h5"), [0, 1], {"k": [1]}, Inner(0.25))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"name": "a", "step": 1}, "method 'm' has no setting 'step'. Did you mean 'steps'?"),
        ({}, "method 'm' lacks the setting 'name'."),
        ({"name": "a", "steps": "many"}, "method 'm': steps: "),
        ({"name": 3}, "but got 3."),
        ({"name": "a", "inner": {"shar": 1}}, "method 'm': inner has no setting 'shar'."),
        ({"name": "a", "inner": {"share": "x"}}, "method 'm': inner: share: "),
        ({"name": "a", "inner": 4}, "method 'm': inner: "),
    ],
)
def test_what_is_not_known_or_of_a_wrong_type_is_refused(settings, sentence):
    with pytest.raises(LpclipError) as error:
        build(Outer, settings, where="method 'm'")
    assert sentence in str(error.value)


def test_settings_of_a_real_method_are_built_to_the_depth():
    built = build(
        Settings,
        {"labelling": {"prior": "align"}, "optimisation": {"epochs": 2}},
        where="method 'm'",
    )
    assert (built.labelling.prior, built.optimisation.epochs) == ("align", 2)
    assert built.collapse == Settings().collapse
