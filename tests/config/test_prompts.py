"""Class names, templates and prompts, inline or from files, and errors in them."""

import json
from pathlib import Path

import open_clip
import pytest

from lpclip.config.prompts import read_texts
from lpclip.config.schema import Benchmark
from lpclip.errors import LpclipError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def completed(**benchmark):
    found = vars(read_texts("b", Benchmark(adapt="a", **benchmark)))
    return {key: value for key, value in found.items() if value is not None}


def write(name, text, **options):
    Path(name).write_text(text, newline="", **options)
    return name


def test_lists_stay_as_they_are():
    given = {"class_names": ["a cat", "b"], "templates": ["a {}."]}
    assert completed(**given) == given


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Löwe\ncat\n", "utf-8"),
        ("Löwe\ncat", "utf-16"),
        ("Löwe\r\ncat\r\n\r\n", "utf-8"),
        ("Löwe \ncat", "utf-8-sig"),
    ],
)
def test_a_file_holds_one_text_per_line(text, encoding):
    names = write("names.txt", text, encoding=encoding)
    templates = write("templates.txt", text.replace("Löwe", "ö {}").replace("cat", "{}"))
    found = completed(class_names=names, templates=templates)
    assert found == {"class_names": ["Löwe", "cat"], "templates": ["ö {}", "{}"]}


def test_the_place_of_the_name_has_three_spellings():
    given = ["a {}.", "the {c}, {c}.", "my {classname}", "{sic} {c}"]
    found = ["a {}.", "the {}, {}.", "my {}", "{sic} {}"]
    assert completed(templates=given)["templates"] == found
    assert completed(templates=write("t.txt", "\n".join(given)))["templates"] == found


def test_names_that_differ_in_case_alone_are_refused_only_where_templates_use_them():
    names = ["A", "b", "a"]
    path = write("p.json", json.dumps({name: [f"the letter {name}"] for name in names}))
    assert completed(prompts=path, class_names=names)["class_names"] == names
    assert completed(class_names=names)["class_names"] == names
    with pytest.raises(LpclipError, match="names 1 and 3 \\('A', 'a'\\) differ in case or spaces"):
        completed(templates=["{}"], class_names=names)


def test_named_sets_are_those_of_open_clip():
    found = completed(class_names="imagenet", templates="openai_imagenet")
    assert found["class_names"] == list(open_clip.IMAGENET_CLASSNAMES)
    expected = [template("cat") for template in open_clip.OPENAI_IMAGENET_TEMPLATES]
    assert [text.replace("{}", "cat") for text in found["templates"]] == expected
    assert len(completed(templates="simple")["templates"]) == 7


def test_prompts_follow_the_class_names_and_give_them_where_there_are_none():
    path = write("p.json", json.dumps({"cat": ["furry", "a cat"], "dog": ["barks"]}))
    assert completed(prompts=path)["class_names"] == ["cat", "dog"]
    found = completed(prompts=path, class_names=["dog", "cat"])
    assert found["prompts"] == [["barks"], ["furry", "a cat"]]


def test_imagenets_names_in_a_list_point_to_the_named_set():
    names = list(open_clip.IMAGENET_CLASSNAMES)
    for given in (names, write("names.txt", "\n".join(names), encoding="utf-16")):
        with pytest.raises(LpclipError, match=r"twice .* give class_names: imagenet\.$"):
            completed(class_names=given)
    with pytest.raises(LpclipError, match=r"twice \(1 and 3\)\.$"):
        completed(class_names=["a", "b", "a"])


@pytest.mark.parametrize(
    ("benchmark", "sentence"),
    [
        ({"class_names": ["a", "b", "a"]}, "class_names has the name 'a' twice (1 and 3)"),
        ({"class_names": ["a", " "]}, "class_names: name 2 is empty"),
        ({"class_names": ["a"]}, "class_names needs two names or more"),
        ({"class_names": "imagnet"}, "neither a file nor a named set. Did you mean 'imagenet'?"),
        ({"class_names": "gap.txt"}, "class_names (gap.txt): name 2 is empty"),
        ({"class_names": "latin.txt"}, "latin.txt cannot be read as text"),
        ({"templates": ["a photo"]}, "'a photo' is not a template: it needs {} in the place of"),
        ({"templates": ["{}", "{}"]}, "templates has the template '{}' twice"),
        ({"templates": ["a {}", "a {c}"]}, "templates has the template 'a {}' twice (1 and 2)"),
        ({"templates": ["a {label}."]}, "the name. Did you mean 'a {}.'?"),
        ({"templates": ["a <class> here"]}, "the name. Did you mean 'a {} here'?"),
        ({"templates": ["an %s"]}, "the name. Did you mean 'an {}'?"),
        ({"templates": ["lambda c: f'a {c}.',"]}, "is Python code. Give the sentence alone"),
        (
            {"templates": ["{}"], "class_names": ["dog", "hot dog", "hot  dog"]},
            "class_names: names 2 and 3 ('hot dog', 'hot  dog') differ in case or spaces alone",
        ),
        ({"prompts": "place.json"}, "'cat': 'a {c}' is a template, but descriptions are taken as"),
        ({"templates": []}, "holds no template"),
        ({"templates": "gap.txt"}, "templates (gap.txt): template 2 is empty"),
        ({"templates": "openai_imagnet"}, "Did you mean 'openai_imagenet'?"),
        ({"prompts": "none.json"}, "the file 'none.json' does not exist"),
        ({"prompts": "gap.txt"}, "gap.txt is not valid JSON"),
        ({"prompts": "list.json"}, "list.json holds no object"),
        ({"prompts": "twice.json"}, "has the class 'cat' twice"),
        ({"prompts": "none_of.json"}, "'dog' needs a list of one description or more"),
        ({"prompts": "empty.json"}, "'dog': description 2 is empty"),
        ({"prompts": "p.json", "class_names": ["cat", "dgo"]}, "Did you mean 'dog'?"),
        ({"prompts": "p.json", "class_names": ["cat", "bat"]}, "no descriptions of class 'bat'"),
        ({"prompts": "p.json", "class_names": ["a", "b"]}, "no descriptions of class 'a'"),
        ({"prompts": "three.json", "class_names": ["a", "b"]}, "describes 'c', which is not among"),
    ],
)
def test_what_is_no_list_of_texts_is_a_sentence(folder, benchmark, sentence):
    write("gap.txt", "a\n\nb\n")
    (folder / "latin.txt").write_bytes("Löwe\ncat".encode("latin-1"))
    write("place.json", '{"cat": ["a {c}"], "dog": ["a"]}')
    write("list.json", '["cat"]')
    write("twice.json", '{"cat": ["a"], "cat": ["b"]}')
    write("none_of.json", '{"cat": ["a"], "dog": []}')
    write("empty.json", '{"cat": ["a"], "dog": ["a", " "]}')
    write("p.json", '{"cat": ["a"], "dog": ["b"]}')
    write("three.json", '{"a": ["1"], "b": ["2"], "c": ["3"]}')
    with pytest.raises(LpclipError) as error:
        completed(**benchmark)
    assert str(error.value).startswith("configuration: benchmarks.b.")
    assert sentence in str(error.value)
