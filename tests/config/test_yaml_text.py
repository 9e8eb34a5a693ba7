"""Values that YAML parses differently from how they look."""

import contextlib
import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lpclip.config.yaml_text import check_files
from lpclip.errors import LpclipError

WHOLE = """
seeds: &seeds [0, 1, 2]
labellings:
  auto: &plain {threshold: 0.5, structure: -0.6}
  other:
    <<: *plain
    threshold: 0.7
datasets:
  "2024": {source: {kind: folder, root: "010"}, class_map: {0: zero, 1: one}}
again: *seeds
methods: {zero_shot: {kind: zero_shot, flag: true, nothing: null}}
"""


def check(folder, text, name="config.yaml"):
    path = folder / name
    path.write_text(text)
    check_files([path])


def test_what_reads_as_it_looks_is_taken(tmp_path):
    check(tmp_path, WHOLE)
    check(tmp_path, json.dumps(yaml.safe_load(WHOLE)), "config.json")
    check(tmp_path, "")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("seeds: [0]\nmodels: {}\nseeds: [1]", "the key 'seeds' twice, in lines 1 and 3"),
        ("methods:\n  a: {rounds: 1, rounds: 2}", "the key 'rounds' twice, in lines 2 and 2"),
        ("datasets:\n  2024: {}", "line 2: YAML reads the name 2024 as a number"),
        ("models:\n  32: {}", "'32'"),
        ("datasets:\n  2024-01-31: {}", "the name 2024-01-31 as a date"),
        ("datasets:\n  null: {}", "the name null as nothing"),
        ("datasets:\n  ~: {}", "the name ~ as nothing"),
        ("datasets:\n  no: {}", "the name no as true or false"),
        ("datasets:\n  1.5: {}", "the name 1.5 as a number"),
        ("datasets:\n  ? [a, b]\n  : {}", "a key must be text"),
        ("d: {class_map: {007: a}}", "the name 007 as a number"),
        ("root: 2024-01-31", "YAML reads 2024-01-31 as a date"),
        ("seeds: [010]", "YAML reads 010 as the number 8. Write 8"),
        ("limit: 1_000", "YAML reads 1_000 as the number 1000"),
        ("n: 0x10", "the number 16"),
        ("n: 12:30", "the number 750"),
        ("a: [1, 2", "not valid YAML"),
        ('{"seeds": [0], "seeds": [1]}', "the key 'seeds' twice"),
    ],
)
def test_what_reads_otherwise_is_a_sentence(tmp_path, text, sentence):
    with pytest.raises(LpclipError) as error:
        check(tmp_path, text)
    assert sentence in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "config.yaml"))


def test_aliases_that_multiply_or_go_round_come_to_an_end(tmp_path):
    lines = ["a0: &a0 [x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    check(tmp_path, "\n".join(lines))
    check(tmp_path, "a: &a [*a]")


@settings(derandomize=True, max_examples=150, deadline=None, database=None)
@given(
    st.text(alphabet="ab01:-_{}[],&*<? \n\"'.~!#%", max_size=60)
    | st.builds(
        lambda a, b, c: WHOLE[:a] + b + WHOLE[a + c :],
        st.integers(0, len(WHOLE)),
        st.text(max_size=4),
        st.integers(0, 6),
    )
)
def test_any_text_is_taken_or_a_sentence(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with contextlib.suppress(LpclipError):
        check_files([path])
