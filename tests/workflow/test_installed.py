"""lpclip from its wheel: `lpclip init` in an empty folder, and Snakemake there."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import yaml

import lpclip
from tests.helpers import ROOT
from tests.helpers.installed import FEWER, NAMES, build_wheel, copy_source, pip, write_digits
from tests.helpers.warm import environment


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of what a wheel is built from, since building leaves files there."""
    return copy_source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    return build_wheel(source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed")
    pip("install", "--no-deps", "--no-index", "--target", folder, wheel)
    return folder


@pytest.fixture(scope="module")
def run(installed):
    """Run a module of Python in a folder, with the lpclip of the wheel."""

    def run(folder, *command):
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=folder,
            env=environment(installed),
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        done.text = done.stdout + done.stderr
        return done

    return run


@pytest.fixture(scope="module")
def started(run, tmp_path_factory):
    """A project that `lpclip init` wrote, of images in other folders, with labelled ones."""
    folder = tmp_path_factory.mktemp("user")
    write_digits(folder / "photos", "adapt", 60, by_class=False)
    write_digits(folder / "labelled", "test", 40, by_class=True)
    (folder / "photos/broken.png").write_bytes(b"no image")
    options = ["--unlabelled", "photos", "--labelled", "labelled", "--model", "tiny"]
    options += ["--templates", "a photo of the number {}."]
    done = run(folder, "lpclip", "init", "my-project", *options)
    assert done.returncode == 0, done.text
    done.project = folder / "my-project"
    return done


@pytest.fixture(scope="module")
def finished(started, run):
    """The same project after the command that init names, with less work."""
    path = started.project / "config.yaml"
    text = path.read_text().replace("# corruptions: []", "corruptions: []")
    path.write_text(text + FEWER)
    files = re.search(r"^  snakemake --cores \d+ (.*)$", started.stdout, re.MULTILINE)[1]
    done = run(started.project, "snakemake", "--cores", "2", *files.split())
    assert done.returncode == 0, done.text
    done.project = started.project
    return done


def test_the_wheel_holds_every_file_of_the_workflow(wheel):
    names = {
        path.relative_to(ROOT).as_posix()
        for folder in ("workflow", "profiles", "configs")
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
    }
    names |= {"Snakefile", "config.yaml", "environment.yml"}
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if "/packaged/" in name}
    assert packed == {f"lpclip/packaged/{name}" for name in names}


def test_a_source_distribution_makes_the_same_wheel(source, wheel, tmp_path):
    code = "import setuptools.build_meta as b, sys; print(b.build_sdist(sys.argv[1]))"
    command = [sys.executable, "-c", code, tmp_path]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    again = build_wheel(archive, tmp_path)
    assert zipfile.ZipFile(again).namelist() == zipfile.ZipFile(wheel).namelist()


def test_an_editable_installation_is_a_path_in_which_snakemake_lists_plugins(source, tmp_path):
    code = "import setuptools.build_meta as b, sys; print(b.build_editable(sys.argv[1]))"
    command = [sys.executable, "-c", code, tmp_path]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (pointer,) = (name for name in archive.namelist() if name.endswith(".pth"))
        assert Path(archive.read(pointer).decode().strip()) == source
    assert (source / "snakemake_logger_plugin_lpclip/__init__.py").is_file()


def test_the_workflow_is_found_in_the_wheel_and_in_a_checkout(installed, tmp_path):
    code = "import lpclip; print(lpclip.snakefile())"
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env=environment(installed), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(found.stdout.strip()) == installed / "lpclip/packaged/Snakefile"
    assert Path(lpclip.snakefile()) == ROOT / "Snakefile"


def test_init_looks_at_the_images_and_tells_the_cost(started):
    assert "Unlabelled: 61 images in " in started.stdout
    assert "broken.png (" in started.stdout
    assert "10 of 10 classes have labelled images" in started.stdout
    cost = (
        r"to embed 100 images in [\d,]+ views with tiny, which encodes [\d,]+ a second \(measured"
    )
    assert re.search(cost, started.stdout)


def test_the_project_is_a_configuration_a_snakefile_and_a_profile(started):
    files = {p.relative_to(started.project) for p in started.project.rglob("*") if p.is_file()}
    made = {Path(name) for name in ("config.yaml", "Snakefile", "profiles/default/config.yaml")}
    assert made <= files
    config = yaml.safe_load((started.project / "config.yaml").read_text())
    assert sorted(config["benchmarks"]["mine"]["class_names"]) == sorted(NAMES)


def test_the_command_that_init_names_makes_the_report_and_the_page(finished):
    report = pd.read_csv(finished.project / "results/report.csv")
    assert list(report["method"]) == ["zero_shot", "lp_clip_auto", "lp_clip_guarded"]
    assert report["accuracy"].between(0, 1).all()
    assert "lp_clip_guarded" in (finished.project / "results/report.html").read_text()
    skipped = pd.read_csv(finished.project / "results/skipped.csv")
    assert list(skipped["id"]) == ["broken.png"]
    assert "mine, model tiny, 1 seed" in finished.text  # the summary at the end


def test_the_run_prints_a_line_per_stage_and_not_what_the_complete_log_has(finished):
    complete = min((finished.project / ".snakemake/log").iterdir()).read_text()
    assert len(finished.text.splitlines()) < 75 < 300 < len(complete.splitlines())
    rules = set(re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):", complete, re.MULTILINE))
    printed = set(re.findall(r"^ +\d:\d\d +\d+/\d+  (\w+)", finished.stderr, re.MULTILINE))
    assert len(rules) > 10
    assert rules == printed - {"about"}  # "about 2 minutes left", on a slow machine
    assert re.search(
        r"embed_images tiny pool clean: 60 images in .* images/s$", finished.stderr, re.M
    )
    assert finished.text.replace("\n", "").isprintable()
    # The summary comes when all lines of stages have been printed.
    assert finished.stderr.rstrip().splitlines()[-1].startswith("Complete log(s): ")


def test_a_second_run_has_nothing_to_do(finished, run):
    done = run(finished.project, "snakemake", "--cores", "2", "-n", "results/report.csv")
    assert "Nothing to be done" in done.text


def test_an_unknown_key_is_refused_with_what_was_meant(finished, run):
    path = finished.project / "config.yaml"
    before = path.read_text()
    try:
        path.write_text(before.replace("seeds:", "seed:"))
        done = run(finished.project, "snakemake", "--cores", "2", "-n")
        path.write_text(before + "seeds: [1]\n")
        twice = run(finished.project, "snakemake", "--cores", "2", "-n")
    finally:
        path.write_text(before)
    assert done.returncode == 1
    assert "configuration has no setting 'seed'" in done.text
    assert "Did you mean 'seeds'?" in done.text
    assert "module lpclip" not in done.text
    assert "config.yaml has the key 'seeds' twice" in twice.text


def test_a_failed_job_is_explained_once(finished, run):
    path = finished.project / "config.yaml"
    before = path.read_text()
    try:
        path.write_text(before.replace("on_bad_image: skip", "on_bad_image: error"))
        target = "cache/tiny/images/pool/clean.h5"
        done = run(finished.project, "snakemake", "--cores", "2", target)
    finally:
        path.write_text(before)
    assert done.returncode == 1
    assert done.stderr.count(" failed:\n") == 1
    after = done.stderr.partition(" failed:\n")[2]
    assert after.count("broken.png cannot be read as an image") == 1


def test_the_lock_of_a_killed_run_is_removed_as_in_a_checkout(finished, run):
    locks = finished.project / ".snakemake/locks"
    locks.mkdir(exist_ok=True)
    (locks / "0.input.lock").touch()
    owner = "from pathlib import Path; from lpclip.utils.run_owner import note_owner; "
    done = subprocess.run(
        [sys.executable, "-c", owner + "note_owner(Path())"], cwd=finished.project
    )
    assert done.returncode == 0
    done = run(finished.project, "snakemake", "-n", "--cores", "2", "results/report.csv")
    assert "The last run in this folder was killed" in done.text
    assert not any(locks.iterdir())


def test_without_labelled_images_heads_and_the_page_are_made_all_the_same(started, finished, run):
    folder = started.project.parent
    options = ["--unlabelled", "photos", "--labelled", "none", "--classes", ", ".join(NAMES)]
    options += ["--model", "tiny", "--templates", "a photo of the number {}."]
    done = run(folder, "lpclip", "init", "unlabelled", *options)
    assert done.returncode == 0, done.text
    project = folder / "unlabelled"
    with (project / "config.yaml").open("a") as file:
        file.write(FEWER)
    # What the other project has embedded is the same here.
    shutil.copytree(finished.project / "cache", project / "cache")
    results = project / "results/tiny/mine"
    made = [results / name for name in ("lp_clip_guarded/probes.h5", "pictures.json")]
    targets = [str(path.relative_to(project)) for path in made]
    done = run(project, "snakemake", "--cores", "2", *targets)
    assert done.returncode == 0, done.text
    assert all(path.is_file() for path in made)
    # Whatever is evaluated is the pool: there is no other index, and nothing claims its labels.
    planned = run(project, "snakemake", "-n", "--cores", "2", "results/report.html").stdout
    evaluated = re.findall(r"^rule evaluate:\n +input: (.*)$", planned, re.MULTILINE)
    assert evaluated
    assert all("samples.h5" not in inputs for inputs in evaluated)
