"""The order of the packages: imports go down, no cycles, no module is too long."""

import ast
import re
from graphlib import TopologicalSorter

import pytest

from tests.helpers import ROOT

FLOORS = (
    {"corruption_names", "errors", "ood_score_names", "types"},
    {"columns", "metrics", "utils"},
    {"storage", "transforms", "models"},
    {"data"},
    {"features", "methods", "evaluation"},
    {"reporting"},
    {"config"},
    {"cli"},
)
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS, start=1) for name in names}
LONGEST = 300


def modules():
    """Return module name -> file for every module of lpclip."""
    found = {}
    for path in (ROOT / "lpclip").rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def imports(name, path, known):
    """Return the lpclip modules that a module imports, also in functions and for type checkers."""
    assert path.name == "__init__.py" or name.rpartition(".")[0] in known
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in known else node.module)
        elif isinstance(node, ast.Constant) and str(node.value).startswith("lpclip."):
            found.add(node.value)  # for importlib, or for the hash of the code
    return (found & set(known)) - {name}


@pytest.fixture(scope="module")
def graph():
    known = modules()
    return {name: imports(name, path, known) for name, path in known.items()}


def package(name):
    """Return the first name below lpclip; None for the public names, outside the floors."""
    return name.split(".")[1] if "." in name and not name.endswith("__main__") else None


def climbing(graph):
    return [
        f"{name} imports {other}"
        for name, others in graph.items()
        for other in others
        if None not in (package(name), package(other)) and package(name) != package(other)
        if FLOOR_OF[package(other)] >= FLOOR_OF[package(name)]
    ]


def test_every_package_has_a_floor(graph):
    assert {package(name) for name in graph} - {None} == FLOOR_OF.keys()


def test_an_import_goes_down(graph):
    assert climbing(graph) == []


def test_a_climbing_import_would_be_found(graph):
    added = graph | {"lpclip.data.base": graph["lpclip.data.base"] | {"lpclip.methods.base"}}
    assert climbing(added) == ["lpclip.data.base imports lpclip.methods.base"]


def test_nothing_inside_imports_the_public_names(graph):
    assert [name for name, others in graph.items() if "lpclip" in others and "." in name] == []


def test_no_module_imports_itself_through_others(graph):
    # lpclip imports its public names lazily.
    inside = {name: others - {"lpclip"} for name, others in graph.items() if name != "lpclip"}
    TopologicalSorter(inside).prepare()


def test_no_module_is_longer_than_a_few_screens():
    lengths = {name: path.read_bytes().count(b"\n") for name, path in modules().items()}
    assert {name: n for name, n in lengths.items() if n > LONGEST} == {}


def test_the_page_on_the_architecture_names_modules_that_exist():
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:lpclip|tests|workflow)/[\w/.]+)`", text))
    assert len(named) > 30
    assert {path for path in named if not (ROOT / path).exists()} == set()
    floors = re.findall(r"^\| (\d) \| (.*?) \|", text, flags=re.MULTILINE)
    shown = {name: int(floor) for floor, names in floors for name in re.findall(r"\w+", names)}
    assert shown == FLOOR_OF
