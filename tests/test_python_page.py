"""docs/python.md describes the public names, no more and no fewer, and its example runs."""

import dataclasses
import inspect
import re

import pytest

import lpclip
from tests.helpers import ROOT

PAGE = (ROOT / "docs/python.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", PAGE, flags=re.MULTILINE | re.DOTALL))
FIRST_COLUMN = re.compile(r"^\| `(\w+)", flags=re.MULTILINE)


def signature(function):
    """Return the signature without types."""
    given = inspect.signature(function)
    parameters = [
        one.replace(annotation=one.empty) for one in given.parameters.values() if one.name != "self"
    ]
    return str(given.replace(parameters=parameters, return_annotation=given.empty))


def test_the_page_has_a_section_for_each_public_name():
    assert SECTIONS.keys() == set(lpclip.__all__)
    assert all(getattr(lpclip, name).__doc__ for name in lpclip.__all__)


@pytest.mark.parametrize(
    "name", ["LabelFreeProbe", "load_probe", "map_features", "read_frame", "read_report"]
)
def test_a_signature_is_as_on_the_page(name):
    assert f"`{name}{signature(getattr(lpclip, name))}`" in SECTIONS[name]


@pytest.mark.parametrize("name", ["GuardDecision", "Probe"])
def test_attributes_are_as_on_the_page(name):
    fields = [field.name for field in dataclasses.fields(getattr(lpclip, name))]
    assert FIRST_COLUMN.findall(SECTIONS[name]) == fields


def test_what_an_estimator_has_is_on_the_page():
    estimator = lpclip.LabelFreeProbe
    named = set(FIRST_COLUMN.findall(SECTIONS["LabelFreeProbe"]))
    own = {name for name in vars(estimator) if not name.startswith(("_", "set_"))}
    parameters = set(inspect.signature(estimator).parameters)
    documented = set(re.findall(r"^ {8}(\w+_): ", estimator.__doc__, flags=re.MULTILINE))
    assert named == own | parameters | documented | {"score"}
    assert f"`fit{signature(estimator.fit)}`" in SECTIONS["LabelFreeProbe"]


def test_public_names_are_sorted_and_typed():
    assert lpclip.__all__ == sorted(lpclip.__all__)
    for name in ("load_probe", "map_features", "read_frame", "read_report"):
        given = inspect.signature(getattr(lpclip, name))
        assert given.return_annotation is not given.empty
        assert all(one.annotation is not one.empty for one in given.parameters.values())


def test_the_example_of_the_page_runs(capsys):
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    exec(program, {})
    assert re.search(r"^(Ships a head|Keeps zero-shot).*\n\[", capsys.readouterr().out)
