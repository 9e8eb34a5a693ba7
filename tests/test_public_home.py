"""What a public forge reads is true: workflows, issue forms, contribution pages, Dockerfile."""

import ast
import os
import re
import subprocess
import sys
import tomllib

import pytest
import yaml

from tests.helpers import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md")
DOCS = [f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def targets():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    rules = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    assert set(phony.split()) == rules
    return rules


def called(text):
    """Return the targets of the make commands in a shell text, without options and variables."""
    lines = re.findall(r"(?:^|`)make ((?:[\w=/.-]+ ?)*)", text, re.MULTILINE)
    words = [word for line in lines for word in line.split()]
    return {word for word in words if "=" not in word and not word.startswith("-")}


def steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job.get("steps", [])]


def load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_a_missing_target_would_be_found():
    assert called("make A=b lint\n`make CORES=2 tests`") == {"lint", "tests"}
    assert "tests" not in targets()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_calls_targets_that_exist(path):
    workflow = load(path)
    shell = [step["run"] for step in steps(workflow) if "run" in step]
    assert {target for text in shell for target in called(text)} <= targets()
    if path.stem != "release":
        assert any("make " in text for text in shell)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_has_few_rights_and_a_limit(path):
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        if "uses" in job:
            assert (ROOT / job["uses"]).is_file()
        else:
            assert job["timeout-minutes"] <= 90
    for step in steps(workflow):
        assert re.fullmatch(r"[\w./-]+@[\w./]+", step.get("uses", "no/action@v1"))
        # Nothing that others write (a branch's name, a title) is put into a shell.
        assert "${{" not in step.get("run", "")


def test_the_tests_run_on_every_supported_python_and_with_the_newest_dependencies():
    jobs = load(ROOT / ".github/workflows/tests.yml")["jobs"]
    versions = jobs["constrained"]["strategy"]["matrix"]["python"]
    assert versions == ["3.11", "3.12", "3.13", "3.14"]
    assert project()["requires-python"] == f">={versions[0]}"
    assert {"run": "make test"} in jobs["constrained"]["steps"]
    assert {"run": "make test CONSTRAINTS="} in jobs["newest"]["steps"]
    assert "$(CONSTRAINTS)" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_a_release_is_published_by_trust_after_every_check():
    workflow = load(ROOT / ".github/workflows/release.yml")
    jobs = workflow["jobs"]
    assert workflow[True] == {"push": {"tags": ["v*"]}}  # YAML 1.1 reads ``on`` so
    publish = jobs["publish"]
    assert publish["permissions"] == {"id-token": "write"}
    assert not any("with" in step for step in publish["steps"] if "publish" in step["uses"])
    assert set(publish["needs"]) == set(jobs["release"]["needs"]) == jobs.keys() - {
        "publish", "release",
    }  # fmt: skip
    commands = " ".join(step.get("run", "") for step in jobs["build"]["steps"])
    assert "python -m build" in commands
    assert "twine check --strict" in commands


@pytest.mark.parametrize("name", [*PAGES, ".github/pull_request_template.md", *DOCS])
def test_a_page_names_targets_and_files_that_exist(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert called(text) <= targets()
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", text)
    folder = (ROOT / name).parent if name in DOCS else ROOT
    assert {link for link in links if not link.startswith("../../security/")} <= {
        link for link in links if (folder / link).exists()
    }


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150


def test_links_of_the_readme_work_on_a_package_index():
    environment = {**os.environ, "LPCLIP_REPOSITORY": "https://example.org/team/lpclip"}
    code = "import sys; sys.argv = ['setup.py', '--long-description', '--url']; import setup"
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    links = re.findall(r"(!?)\[[^]]*\]\(([^)]+)\)", shown.stdout)
    version = project()["version"]
    pages = {address for image, address in links if not image and "example.org" in address}
    assert f"https://example.org/team/lpclip/blob/v{version}/docs/method.md" in pages
    images = [address for image, address in links if image]
    assert images == [f"https://example.org/team/lpclip/raw/v{version}/docs/severity.png"]
    assert all(address.startswith("https://") for _, address in links)


def test_contributing_names_every_target():
    assert called((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")) == targets()


def test_issue_forms_have_what_a_forge_requires():
    forms = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
    assert [path.stem for path in forms] == ["bug", "config", "proposal"]
    for form in (load(path) for path in forms if path.stem != "config"):
        assert form.keys() == {"name", "description", "labels", "body"}
        fields = [field for field in form["body"] if field["type"] != "markdown"]
        assert len({field["id"] for field in fields}) == len(fields)
        assert all(field["attributes"]["label"] for field in fields)


def test_the_readme_cites_what_the_citation_file_cites():
    citation = load(ROOT / "CITATION.cff")
    assert citation["version"] == project()["version"]
    paper = citation["preferred-citation"]
    (entry,) = re.findall(
        r"```bibtex\n@article\{\w+,\n(.*?)\n\}\n```",
        (ROOT / "README.md").read_text(encoding="utf-8"),
        re.DOTALL,
    )
    assert dict(re.findall(r"^  (\w+) = \{(.*)\},$", entry, re.MULTILINE)) == {
        "title": paper["title"],
        "author": " and ".join(
            f"{one['family-names']}, {one['given-names']}" for one in paper["authors"]
        ),
        "journal": paper["journal"],
        "year": str(paper["year"]),
        "url": paper["url"],
    }


def instructions():
    """Return (instruction, arguments) of the Dockerfile, continued lines joined."""
    lines = [line for line in DOCKERFILE.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line]


def test_the_image_has_a_stage_per_variant_and_no_root():
    parts = instructions()
    stages = {text.partition(" AS ")[2] for name, text in parts if name == "FROM"}
    assert stages == {"wheel", "variant-cpu", "variant-cuda", ""}
    assert ("ARG", "VARIANT=cpu") in parts
    assert [text for name, text in parts if name == "FROM"][-1] == "variant-${VARIANT}"
    assert [text for name, text in parts if name == "USER"] == ["1000"]
    (python,) = re.findall(r"^ARG PYTHON=(.*)$", DOCKERFILE, re.MULTILINE)
    assert project()["requires-python"] == f">={python}"


def test_the_image_copies_all_that_the_wheel_is_built_from():
    copied = set()
    for name, text in instructions():
        if name == "COPY":
            *sources, _ = text.split()
            copied |= set(sources)
    assert {name for name in copied if not (ROOT / name).exists()} == set()
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    (packaged,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "WORKFLOW"
    )
    needed = {"pyproject.toml", "setup.py", "README.md", *project()["license-files"]}
    assert copied == {*packaged, *needed, "lpclip", "snakemake_logger_plugin_lpclip"}
    sent = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {name.removeprefix("!") for name in sent if name.startswith("!")} == {
        *copied, "constraints.txt",
    }  # fmt: skip
