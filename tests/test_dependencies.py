"""pyproject.toml, constraints.txt and environment.yml name the same packages."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from itertools import chain

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.helpers import ROOT

CONDA_NAMES = {
    "huggingface-hub": "huggingface_hub",
    "matplotlib": "matplotlib-base",
    "open-clip-torch": "open-clip-torch",
    "snakemake": "snakemake-minimal",
    "tables": "pytables",
    "torch": "pytorch",
    "xxhash": "python-xxhash",
}


def _project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _constraints():
    lines = (ROOT / "constraints.txt").read_text().split()
    return {
        canonicalize_name(name): number for name, _, number in (x.partition("==") for x in lines)
    }


def test_every_dependency_is_constrained_to_a_version_in_its_range():
    project, tested = _project(), _constraints()
    for text in [*project["dependencies"], *chain(*project["optional-dependencies"].values())]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(tested[canonicalize_name(requirement.name)]), text


def test_every_package_that_the_code_imports_is_a_dependency():
    project = _project()
    extras = [each for name, each in project["optional-dependencies"].items() if name != "dev"]
    listed = [*project["dependencies"], *chain(*extras)]
    without = {"lpclip", *sys.stdlib_module_names}
    packages = packages_distributions()
    named = {canonicalize_name(Requirement(text).name) for text in listed}
    for path in (ROOT / "lpclip").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            for name in {name.partition(".")[0] for name in names} - without:
                assert named & {canonicalize_name(each) for each in packages[name]}, (path, name)


def test_constraints_hold_names_and_versions_only():
    assert all(_constraints().values())
    assert "://" not in (ROOT / "constraints.txt").read_text()


def test_the_conda_twin_has_the_same_packages_and_ranges():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    twin = dict(line.split(" ", 1) for line in conda)
    project = _project()
    expected = {"python": project["requires-python"]}
    for text in project["dependencies"]:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        expected[CONDA_NAMES.get(name, name)] = text[len(requirement.name) :]
    assert twin == expected
