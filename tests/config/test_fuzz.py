"""Any configuration is accepted or rejected with a short error."""

import contextlib
import copy

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lpclip.config.check import complete
from lpclip.errors import LpclipError
from tests.helpers import ROOT

DEFAULT = yaml.safe_load((ROOT / "config.yaml").read_text())
# A second benchmark and kinds that the default does not use.
DEFAULT["datasets"]["pool"] = {
    "source": {
        "kind": "pool",
        "parts": [{"source": {"kind": "digits", "split": "adapt"}, "keep": {"linear": 0.08}}],
    },
    "limit": 40,
    "stratified": {"share": 0.5},
    "class_map": {str(digit): f"class {digit}" for digit in range(10)},
}
DEFAULT["methods"]["few"] = {"kind": "few_shot", "shots": 2}
DEFAULT["methods"]["mixed"] = {"kind": "wise_ft", "method": "lp_clip", "alpha": 0.5}

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2**70)
    | st.floats()
    | st.sampled_from(
        ["", "auto", "digits", "../x", "\0", "a" * 300, "{}", "imagenet", "é", "\x1b["]
    )
    | st.text(max_size=8),
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(st.sampled_from(["kind", "share", "", "x"]), inside, max_size=2)
    ),
    max_leaves=4,
)


def places(value, path=()):
    """Yield the path of every value in a configuration."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


PLACES = [path for path in places(DEFAULT) if path]


@settings(derandomize=True, max_examples=250, deadline=None, database=None)
@given(st.sampled_from(PLACES), VALUES, st.sampled_from(["replace", "add", "remove"]))
def test_any_change_of_one_value_is_taken_or_a_sentence(path, value, how):
    config = copy.deepcopy(DEFAULT)
    place = config
    for key in path[:-1]:
        place = place[key]
    if how == "replace":
        place[path[-1]] = value
    elif how == "remove":
        del place[path[-1]]
    elif isinstance(place, list):
        place.append(value)
    else:
        place["added"] = value
    with contextlib.suppress(LpclipError):
        complete(config)


def test_the_configuration_that_is_changed_is_right():
    complete(copy.deepcopy(DEFAULT))


@pytest.mark.parametrize("config", [{}, {"models": 1}, {"models": {}, "datasets": {}}])
def test_a_configuration_without_its_sections_is_a_sentence(config):
    with pytest.raises(LpclipError):
        complete(config)
