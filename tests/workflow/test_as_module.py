"""The workflow as a module of another one: docs/workflows.md, with and without a prefix."""

import re
import shutil

import pytest
import yaml

from lpclip.models.tiny.weights import write_plain
from lpclip.storage.hdf5 import read_provenance
from lpclip.storage.made_from import read_record, recording
from lpclip.storage.samples import read_samples, write_samples
from tests.helpers import ROOT
from tests.helpers.runs import planned, run, snakemake

SECTION = (ROOT / "docs/workflows.md").read_text().partition("## As a part of another workflow")[2]
SNAKEFILE, CONFIG = (
    re.search(rf"```{language}\n(.*?)```", SECTION, re.DOTALL)[1] for language in ("python", "yaml")
)
SNAKEFILE = SNAKEFILE.replace("/path/to/lpclip", str(ROOT))
PREFIX = '    prefix:\n        "lpclip_run"\n'


def write(folder, snakefile=SNAKEFILE, **changes):
    config = yaml.safe_load(CONFIG)
    config["lpclip"] |= changes
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (folder / "Snakefile").write_text(snakefile)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The example after its run, with a model in a file of the user."""
    folder = tmp_path_factory.mktemp("outer")
    (folder / "files").mkdir()
    write_plain(folder / "files/mine.safetensors")
    write(folder, models=MODELS)
    return folder, snakemake(folder)


MODELS = {"tiny": {"architecture": "lpclip-tiny", "pretrained": "files/mine.safetensors"}}


@pytest.fixture
def folder(finished):
    folder, _ = finished
    yield folder
    write(folder, models=MODELS)


def test_outputs_logs_and_records_are_below_the_prefix_and_nothing_else_is_made(folder):
    made = {path.name for path in folder.iterdir()}
    assert made == {"Snakefile", "config.yaml", "files", "best.txt", "lpclip_run", ".snakemake"}
    inner = folder / "lpclip_run"
    assert {path.name for path in inner.iterdir()} == {"cache", "results", "logs"}
    assert (inner / "results/figures/severity.png").is_file()
    assert (folder / "best.txt").read_text().splitlines()[1].startswith("tiny,digits,")
    record = read_record(inner / "results/tiny/digits/zero_shot/probes.h5")
    assert set(record["inputs"]) == {"../../../../cache/tiny/text/digits.h5"}


def test_the_messages_at_the_end_of_a_run_are_not_printed(finished):
    _, text = finished
    assert "zero_shot" in text
    assert "pred. acc" not in text
    assert "results/report.html" not in text


def test_a_finished_run_has_nothing_to_do_without_snakemakes_notes_either(folder):
    assert planned(folder) == {}
    (folder / ".snakemake").rename(folder / "notes")
    try:
        assert planned(folder) == {}
    finally:
        shutil.rmtree(folder / ".snakemake")
        (folder / "notes").rename(folder / ".snakemake")


def test_the_page_shows_the_times_of_the_modules_own_logs(folder):
    page = folder / "lpclip_run/results/report.html"
    snakemake(folder, "--", page.relative_to(folder))
    times = page.read_text().partition("Time of every stage")[2]
    assert "embed_images" in times


def test_an_output_that_was_made_from_something_else_is_made_again(folder):
    index = folder / "lpclip_run/cache/data/labelled/samples.h5"
    before = index.read_bytes()
    record = read_record(index)
    record["settings"]["limit"] = 59
    with recording(record):
        write_samples(index, read_samples(index, labels=True), read_provenance(index))
    text = snakemake(folder, "-n")
    index.write_bytes(before)
    assert "lpclip_run/cache/data/labelled/samples.h5 is made again: " in text
    assert re.search(r"^lpclip_index_samples +1$", text, re.MULTILINE)


def test_only_what_changed_runs_again(folder):
    write(folder, models=MODELS, methods={"zero_shot": {"kind": "zero_shot"}, "x": X})
    assert planned(folder)["lpclip_train_probe"] == 1
    assert "lpclip_embed_text" not in planned(folder)


X = {"kind": "supervised", "c_steps": 2}


def test_without_a_prefix_the_outputs_are_those_of_a_run_of_its_own(tmp_path):
    assert PREFIX in SNAKEFILE
    write(tmp_path, SNAKEFILE.replace(PREFIX, "").replace("lpclip_run/", ""))
    target = "cache/tiny/text/digits.h5"
    snakemake(tmp_path, "--", target)
    assert (tmp_path / target).is_file()
    assert planned(tmp_path)["lpclip_report"] == 1


OUTER = """
rule all:
    input: "{wanted}"

rule own:
    output: "{{model}}_of_{{dataset}}.txt"
    shell: "touch {{output}}"

"""


@pytest.mark.parametrize(
    ("before", "jobs"),
    [
        ("", {"lpclip_all": 1}),
        (OUTER.format(wanted="mine_of_theirs.txt"), {"own": 1}),
    ],
)
def test_wildcards_and_the_first_target_of_the_other_workflow_are_its_own(tmp_path, before, jobs):
    write(tmp_path, before + SNAKEFILE.partition("rule best:")[0])
    assert planned(tmp_path).items() >= jobs.items()
    assert ("lpclip_report" in planned(tmp_path)) == (not before)


def test_a_few_rules_can_be_used_alone(tmp_path):
    few = "use rule index_samples, embed_text from lpclip as of_*\n"
    write(tmp_path, SNAKEFILE.partition("use rule")[0] + few)
    target = "lpclip_run/cache/tiny/text/digits.h5"
    assert planned(tmp_path, target) == {"of_embed_text": 1}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seed": 0}, "module lpclip: configuration has no setting 'seed'"),
        ({"models": {}}, "module lpclip: configuration"),
    ],
)
def test_an_error_of_the_configuration_names_the_module(tmp_path, changes, sentence):
    write(tmp_path, **changes)
    status, text = run(tmp_path, "-n")
    assert status == 1
    assert sentence in text
    assert "Traceback" not in text


def test_a_module_without_a_configuration_does_not_take_the_other_workflows(tmp_path):
    write(tmp_path, SNAKEFILE.replace('    config:\n        config["lpclip"]\n', ""))
    assert "module lpclip: configuration lacks the setting" in run(tmp_path, "-n")[1]


def test_files_and_locks_of_the_other_workflow_are_not_checked(tmp_path):
    write(tmp_path)
    (tmp_path / "config.yaml").write_text(CONFIG + "\nmine: 010\n2026-01-01: 1\n")
    assert planned(tmp_path)["best"] == 1


def test_snakemakes_report_has_the_captions_of_the_module(folder):
    snakemake(folder, "--report", "all.html")
    (folder / "all.html").unlink()
