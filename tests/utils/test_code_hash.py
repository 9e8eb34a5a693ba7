"""Dependencies of the hash of a stage's code."""

import sys

import pytest

from lpclip.methods.registry import kinds
from lpclip.utils import code_hash
from tests.helpers import ROOT
from tests.helpers.plugged import forget

SETTINGS = """
class Settings:
    rounds: int = 3
    'How many.'

TABLE = [Column("ece", float, unit="fraction", description="Gap."), Other(description="Kept.")]
"""

FILES = {
    "settings.py": SETTINGS,
    "__init__.py": "VERSION = 1\n",
    "stage.py": '"""Doc."""\nfrom . import helper, settings\nfrom toy.deep.inner import f\nX = 1\n',
    "helper.py": "def g():\n    return 1\n",
    "deep/__init__.py": "",
    "deep/inner.py": "from ..far import h\n\n\ndef f():\n    return h()\n",
    "far.py": "def h():\n    return 2\n",
    "other.py": "Y = 1\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    for name, text in FILES.items():
        path = tmp_path / "toy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(code_hash, "WITHOUT_RESULT", ("toy",))
    yield tmp_path / "toy"
    sys.modules.pop("toy", None)


def hashed():
    forget()
    return code_hash.code_hash("toy.stage")


@pytest.mark.parametrize(
    ("name", "text", "changes"),
    [
        ("stage.py", FILES["stage.py"].replace("X = 1", "X = 2"), True),
        ("helper.py", FILES["helper.py"].replace("1", "3"), True),
        ("deep/inner.py", FILES["deep/inner.py"].replace("h()", "h() + 1", 1), True),
        ("far.py", FILES["far.py"].replace("2", "4"), True),
        ("deep/__init__.py", "Z = 1\n", True),
        ("other.py", "Y = 2\n", False),
        ("__init__.py", "VERSION = 2\n", False),
        ("stage.py", FILES["stage.py"].replace("Doc", "Other"), False),
        ("settings.py", SETTINGS.replace("How many", "The number of rounds"), False),
        ("settings.py", SETTINGS.replace("rounds: int = 3", "rounds: int = 4"), True),
        ("settings.py", SETTINGS.replace("'How many.'", "start: str = ''"), True),
        ("settings.py", SETTINGS.replace("Gap.", "Distance."), False),
        ("settings.py", SETTINGS.replace('"fraction"', '"per cent"'), False),
        ("settings.py", SETTINGS.replace('"ece", float', '"ece", int'), True),
        ("settings.py", SETTINGS.replace("Kept.", "Lost."), True),
        ("helper.py", "# a comment\ndef g() :\n    return  1\n", False),
    ],
)
def test_the_hash_follows_code_that_is_imported_and_nothing_else(package, name, text, changes):
    before = hashed()
    (package / name).write_text(text)
    assert (hashed() != before) == changes


def test_an_unknown_module_is_an_error(package):
    assert package
    with pytest.raises(ModuleNotFoundError):
        code_hash.code_hash("toy.nothing")


def test_no_stage_depends_on_the_command_line_or_the_configuration():
    for module in (
        "lpclip.data.index",
        "lpclip.features.images",
        "lpclip.features.text",
        "lpclip.features.imported",
        "lpclip.methods.labelling.pseudo_labels",
        "lpclip.methods.train",
        "lpclip.evaluation.robustness",
        "lpclip.reporting.stage",
        "lpclip.reporting.page.stage",
    ):
        closure = code_hash._closure(module)
        assert ROOT in closure[module].parents
        assert [name for name in closure if name.startswith(("lpclip.config", "lpclip.cli"))] == []


@pytest.mark.parametrize("kind", kinds())
def test_a_kind_of_method_depends_on_no_other_but_the_one_that_it_guards(kind):
    folder = "lpclip.methods.kinds."
    closure = code_hash._closure(folder + kind)
    found = {name.removeprefix(folder) for name in closure if name.startswith(folder)}
    assert found == ({kind, "self_training"} if kind == "guarded" else {kind})
    settings = "lpclip.methods.training.self_training_settings"
    assert (settings in closure) == (kind in ("guarded", "self_training"))
    assert not any(name.startswith(folder) for name in code_hash._closure("lpclip.methods.train"))
