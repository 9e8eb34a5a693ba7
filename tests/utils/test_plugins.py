"""Plugins: which files and packages add a kind, and what is refused."""

import pytest

from lpclip.errors import LpclipError
from lpclip.methods.registry import code_of, kinds, load_method, own_kinds
from lpclip.utils import plugins
from lpclip.utils.code_hash import code_hash
from tests.helpers.plugged import SHRUNK, forget, install, no_plugins


@pytest.fixture(autouse=True)
def _fresh(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "site")
    with no_plugins():
        yield


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def test_a_file_adds_a_kind_of_its_name_and_leaves_nothing_behind(tmp_path):
    plugins.use([write(tmp_path / "shrunk.py", SHRUNK)])
    assert set(kinds()) == {*own_kinds(), "shrunk"}
    assert load_method("shrunk").Settings().strength == 0.5
    assert code_of("shrunk") == str(tmp_path / "shrunk.py")
    assert [path.name for path in tmp_path.iterdir()] == ["shrunk.py"]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("mine.txt", SHRUNK, "has to end in .py"),
        ("my-method.py", SHRUNK, "cannot give its name to a kind"),
        ("class.py", SHRUNK, "cannot give its name to a kind"),
        ("broken.py", "NEEDS = ()\ndef fit(:\n", "broken.py cannot be loaded, line 2: SyntaxError"),
        ("broken.py", "\n\n1 / 0\n", "loaded, line 3: ZeroDivisionError: division by zero."),
        ("broken.py", "import nowhere_at_all\n", "line 1: ModuleNotFoundError: No module named"),
        ("broken.py", "import sys\nsys.exit('no')\n", "loaded, line 2: SystemExit: no."),
        ("empty.py", "x = 1\n", "adds nothing. It has to define one of: "),
        ("borrowed.py", "from lpclip.methods.kinds.zero_shot import fit\n", "adds nothing"),
    ],
)
def test_a_file_that_is_no_plugin_is_named_and_refused(tmp_path, name, text, sentence):
    path = write(tmp_path / name, text)
    with pytest.raises(LpclipError) as error:
        plugins.use([path])
    assert sentence in str(error.value)
    assert path in str(error.value)
    assert set(kinds()) == set(own_kinds())


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(LpclipError, match=r"plugin nowhere\.py cannot be read"):
        plugins.use(["nowhere.py"])


def test_the_name_of_one_of_lpclip_s_kinds_is_refused(tmp_path):
    plugins.use([write(tmp_path / "zero_shot.py", SHRUNK)])
    for use in (kinds, lambda: load_method("zero_shot"), lambda: load_method("lame")):
        with pytest.raises(LpclipError, match=r"zero_shot\.py adds the method 'zero_shot'"):
            use()


def test_two_files_of_one_name_are_refused_and_the_same_file_twice_is_not(tmp_path, monkeypatch):
    first = write(tmp_path / "a/shrunk.py", SHRUNK)
    second = write(tmp_path / "b/shrunk.py", SHRUNK)
    plugins.use([first, first])
    monkeypatch.chdir(tmp_path / "a")
    plugins.use(["shrunk.py"])
    with pytest.raises(LpclipError, match="have the same name"):
        plugins.use([second])


PACKAGE = {"their_package/__init__.py": "", "their_package/inner.py": SHRUNK}


def test_a_package_adds_a_kind_by_an_entry_point(tmp_path):
    assert "theirs" not in kinds()
    install(tmp_path / "site", "theirs", "methods", {"theirs": "their_package.inner"}, PACKAGE)
    forget()
    assert "theirs" in kinds()
    assert load_method("theirs").Settings(strength=0.25).strength == 0.25
    assert code_of("theirs") == "their_package.inner"
    assert plugins.kinds("methods", ())["theirs"].origin == "The package theirs"


def test_packages_are_looked_up_only_for_names_that_lpclip_does_not_have(monkeypatch):
    def refuse(**_):
        raise AssertionError

    monkeypatch.setattr(plugins, "entry_points", refuse)
    assert load_method("self_training").NEEDS
    assert "self_training" in kinds(asked="self_training")
    with pytest.raises(AssertionError):
        load_method("theirs")


def test_kinds_of_one_name_are_refused_wherever_they_come_from(tmp_path):
    site = tmp_path / "site"
    install(site, "theirs", "methods", {"shrunk": "their_package.inner"}, PACKAGE)
    forget()
    plugins.use([write(tmp_path / "shrunk.py", SHRUNK)])
    with pytest.raises(LpclipError, match=r"shrunk\.py and The package theirs both add"):
        load_method("shrunk")
    plugins._files.clear()
    assert load_method("shrunk")
    more = {"their_other/__init__.py": SHRUNK}
    install(site, "others", "methods", {"shrunk": "their_other"}, more)
    forget()
    with pytest.raises(LpclipError, match="both add the method 'shrunk'"):
        load_method("shrunk")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1 / 0", "cannot be imported: ZeroDivisionError"),
        ("x = 1", "lacks fit, which adds the meth"),
    ],
)
def test_a_package_that_is_broken_is_named(tmp_path, text, sentence):
    modules = {"their_package/__init__.py": text}
    install(tmp_path / "site", "theirs", "methods", {"theirs": "their_package"}, modules)
    forget()
    with pytest.raises(
        LpclipError, match=f"The package theirs: its module their_package {sentence}"
    ):
        load_method("theirs")


def test_the_hash_of_a_file_follows_its_code_and_lpclip_s_but_no_comment(tmp_path):
    path = write(tmp_path / "shrunk.py", SHRUNK)
    before = code_hash(path)

    def after(text):
        write(tmp_path / "shrunk.py", text)
        forget()
        return code_hash(path)

    assert after(f"# A comment.\n{SHRUNK}".replace("0 is zero-shot.", "Said otherwise.")) == before
    assert after(SHRUNK.replace("0.5", "0.6")) != before
    assert after(f"import json\n{SHRUNK}") != before
    with_hook = after(f"from lpclip.metrics import detection\n{SHRUNK}")
    assert with_hook not in (before, after(f"from lpclip import nothing\n{SHRUNK}"))


def test_the_hash_of_a_package_s_module_follows_what_it_imports(tmp_path):
    modules = {
        "their_package/__init__.py": "",
        "their_package/inner.py": f"from their_package import helper\n{SHRUNK}",
        "their_package/helper.py": "X = 1\n",
        "their_package/other.py": "Y = 1\n",
    }
    install(tmp_path / "site", "theirs", "methods", {"theirs": "their_package.inner"}, modules)
    forget()
    before = code_hash(code_of("theirs"))
    for name, changes in (("other.py", False), ("helper.py", True)):
        (tmp_path / "site/their_package" / name).write_text("X = 2\n")
        forget()
        assert (code_hash("their_package.inner") != before) == changes


def test_a_module_outside_of_a_package_is_hashed_as_well(tmp_path):
    hashes = set()
    for text in (SHRUNK, SHRUNK, SHRUNK.replace("0.5", "0.6")):
        write(tmp_path / "site/their_module.py", text)
        forget()
        hashes.add(code_hash("their_module"))
    assert len(hashes) == 2
