"""A small real workflow: its results, what re-runs, and what is rejected."""

import copy
import os
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

import lpclip
from lpclip.storage.hdf5 import read_provenance
from lpclip.storage.made_from import read_record, recording
from lpclip.storage.samples import read_samples, write_samples
from tests.helpers import ROOT, copy_workflow
from tests.helpers.runs import planned, run, snakemake, write

RESULTS = "results/tiny/digits"
PLUGIN = "snakemake_logger_plugin_lpclip"

CONFIG = {
    "seeds": [0, 1],
    "compute": {"threads": 8},
    "views": {
        "weak": {"versions": 2},
        "strong": {"versions": 2},
        "corruptions": {"severities": [1]},
    },
    "models": {"tiny": {"architecture": "lpclip-tiny", "pretrained": "embedded"}},
    "datasets": {
        "adapt": {"source": {"kind": "digits", "split": "adapt"}},
        "test": {"source": {"kind": "digits", "split": "test"}},
        "far": {"source": {"kind": "photo_patches", "n": 20}},
    },
    "benchmarks": {
        "digits": {
            "class_names": [str(digit) for digit in range(10)],
            "templates": ["a photo of the number {}."],
            "adapt": "adapt",
            "test": "test",
            "corruptions": ["weather"],
            "ood": {"far": ["far"]},
        }
    },
    "labellings": {"aligned": {"threshold": 0.5, "prior": "align"}},
    "methods": {
        "zero_shot": {"kind": "zero_shot"},
        "lp_clip": {
            "kind": "self_training",
            "labelling": "aligned",
            "rounds": 2,
            "optimisation": {"epochs": 2},
        },
        "supervised": {"kind": "supervised", "c_steps": 2},
    },
}


def prepare(folder):
    folder.mkdir()
    copy_workflow(folder)
    # Code is changed in a copy of the package, which Snakemake and its jobs find first.
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("lpclip", PLUGIN):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    write(folder, CONFIG)
    return folder


def inputs_of_jobs(folder, *arguments):
    """Return output -> inputs of the training and pseudo-labelling jobs of a dry run."""
    printed = snakemake(folder, *arguments, code=folder)
    pattern = r"rule (?:train_probe|pseudo_labels|describe_pool):\n\s+input: (.*)\n\s+output: (.*)"
    found = re.findall(pattern, printed)
    return {output: set(inputs.split(", ")) for inputs, output in found}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = prepare(tmp_path_factory.mktemp("workflow") / "run")
    snakemake(folder, code=folder)
    return folder


@pytest.fixture
def changed(finished):
    def change(edit, *targets):
        config = copy.deepcopy(CONFIG)  # keeps its order, which reports follow
        edit(config)
        write(finished, config)
        return planned(finished, *targets, code=finished)

    yield change
    write(finished, CONFIG)


def test_a_finished_run_has_nothing_to_do_even_when_files_are_touched(finished):
    touched = ["Snakefile", "config.yaml", "workflow/rules/*.smk", "lpclip/**/*.*"]
    for path in [path for pattern in touched for path in finished.glob(pattern)]:
        os.utime(path)
    assert planned(finished, code=finished) == {}


def test_the_number_of_cores_changes_no_report(finished, tmp_path):
    other = prepare(tmp_path / "one core")
    snakemake(other, "--cores", "1", code=other)
    reports = sorted(path.relative_to(finished) for path in finished.glob("results/**/*.csv"))
    assert len(reports) > 10
    for path in reports:
        assert (finished / path).read_bytes() == (other / path).read_bytes(), path


# Rules that run after every probe, and after the one probe of one method.
REPORTS = {"report": 1, "predictions": 1, "pictures": 1, "page": 1}
EVALUATION = {
    "evaluate": 6, "evaluate_ood": 3, "evaluate_held_out": 3, "evaluate_rounds": 3,
    "evaluate_samples": 3, **REPORTS,
}  # fmt: skip
OF_ONE_METHOD = {
    "evaluate": 2, "evaluate_ood": 1, "evaluate_held_out": 1, "evaluate_rounds": 1,
    "evaluate_samples": 1, **REPORTS,
}  # fmt: skip


@pytest.mark.parametrize(
    ("edits", "jobs"),
    [
        ([("reporting/report_table.py", "ddof=1", "ddof=0")], {"report": 1, "page": 1}),
        (
            [("columns/rounds.py", '"epochs", "count"', '"epochs", "number"')],
            {"evaluate_rounds": 3, "report": 1, "page": 1},
        ),
        ([("reporting/figures.py", "figsize=(", "figsize=(1 + ")], {"report": 1, "page": 1}),
        (
            [("evaluation/robustness.py", '"objectnet": 113', '"objectnet": 114')],
            {"evaluate": 6, "report": 1, "page": 1},
        ),
        (
            [("evaluation/ood_scores.py", "TEMPERATURE = 1.0", "TEMPERATURE = 2.0")],
            {"evaluate_ood": 3, "evaluate_held_out": 3, "report": 1, "page": 1},
        ),
        (
            [("data/sources/digits.py", "_SIDE = 32", "_SIDE = 33")],
            {
                # Not the OOD set; not the zero-shot probe, which depends on no image.
                "index_samples": 2,
                "embed_images": 4,
                "pseudo_labels": 1,
                "describe_pool": 1,
                "train_probe": 2,
                "evaluate_features": 1,
                **EVALUATION,
            },
        ),
        (
            [
                (
                    "evaluation/robustness.py",
                    '"""Accuracy and',
                    '"""Said otherwise: accuracy and',
                ),
                ("columns/rounds.py", "Passes over the views", "Passes through the views"),
                ("storage/probes.py", "import json\n", "import json  # said here\n\n# and here\n"),
                ("methods/labelling/settings.py", '"""Divides the logits', '"""Logits over this'),
                ("models/spec.py", '"""Pixels of the side', '"""The side in pixels'),
                ("transforms/corruptions/blur.py", "import torch", "import torch\n\nUNUSED = 1"),
                ("data/sources/folder.py", "import os\n", "import os\n\nUNUSED = 1\n"),
            ],
            {},
        ),
        (
            [
                (
                    "methods/kinds/supervised.py",
                    "    label_share: LabelShare = 1.0\n",
                    "    label_share: LabelShare = 1.0\n    more: int = 1\n",
                )
            ],
            {"train_probe": 1, **OF_ONE_METHOD},
        ),
    ],
    ids=[
        "tables",
        "column",
        "figures",
        "evaluation",
        "foreign",
        "digits",
        "docstring, comments, descriptions, unused modules",
        "new setting of one kind",
    ],
)
def test_a_change_of_code_reruns_what_depends_on_it(finished, edits, jobs):
    texts = {module: (finished / "lpclip" / module).read_text() for module, _, _ in edits}
    try:
        for module, old, new in edits:
            assert old in texts[module]
            (finished / "lpclip" / module).write_text(texts[module].replace(old, new, 1))
        assert planned(finished, code=finished) == jobs
    finally:
        for module, text in texts.items():
            (finished / "lpclip" / module).write_text(text)


def test_a_training_setting_reruns_training_evaluation_and_report(changed):
    jobs = changed(lambda c: c["methods"]["lp_clip"]["optimisation"].update(epochs=3))
    assert jobs == {"train_probe": 1, **OF_ONE_METHOD}


def test_a_threshold_reruns_pseudo_labels_and_what_follows(changed):
    jobs = changed(lambda c: c["labellings"]["aligned"].update(threshold=0.6))
    assert jobs == {"pseudo_labels": 1, "train_probe": 1, **OF_ONE_METHOD}


def test_a_student_of_clean_views_reads_the_clean_cache(finished, changed):
    jobs = changed(lambda c: c["methods"]["lp_clip"].update(student_view="clean"))
    assert jobs == {"train_probe": 1, **OF_ONE_METHOD}
    # The configuration is still the changed one.
    assert inputs_of_jobs(finished, "-n", "--", f"{RESULTS}/lp_clip/probes.h5") == {
        f"{RESULTS}/lp_clip/probes.h5": {
            "cache/tiny/text/digits.h5",
            f"{RESULTS}/pseudo_labels/aligned.h5",
            "cache/tiny/images/adapt/clean.h5",
        }
    }


def test_a_template_reruns_no_image_embedding(changed):
    jobs = changed(lambda c: c["benchmarks"]["digits"]["templates"].append("the digit {}."))
    first = {"embed_text": 1, "pseudo_labels": 1, "describe_pool": 1, "train_probe": 3}
    assert jobs == {**first, **EVALUATION}


def test_a_new_method_adds_its_own_jobs(changed):
    jobs = changed(lambda c: c["methods"].update(again={"kind": "zero_shot"}))
    assert jobs == {"train_probe": 1, **OF_ONE_METHOD}


def test_another_seed_trains_only_what_draws_at_random(changed):
    jobs = changed(lambda c: c["seeds"].append(2))
    assert jobs == {
        "train_probe": 2, "evaluate": 4, "evaluate_ood": 2, "evaluate_rounds": 2,
        "evaluate_samples": 2, "evaluate_held_out": 2, **REPORTS,
    }  # fmt: skip


def test_another_order_of_methods_reruns_the_report(changed):
    def edit(config):
        config["methods"] = dict(reversed(config["methods"].items()))

    assert changed(edit) == {"report": 1, "pictures": 1, "page": 1}


def test_a_new_ood_set_adds_its_own_jobs(changed):
    def edit(config):
        config["datasets"]["more"] = {"source": {"kind": "photo_patches", "n": 21}}
        config["benchmarks"]["digits"]["ood"]["far"].append("more")

    jobs = changed(edit)
    assert jobs == {
        "index_samples": 1,
        "embed_images": 1,
        "evaluate_features": 1,
        "evaluate_ood": 3,
        "report": 1,
        "page": 1,
    }


def test_the_explorer_is_a_target_of_its_own_and_another_method_keeps_the_map(finished, changed):
    page = "results/explorer.html"
    snakemake(finished, page, code=finished)
    assert planned(finished, code=finished) == planned(finished, page, code=finished) == {}
    jobs = changed(lambda c: c["methods"]["lp_clip"]["optimisation"].update(epochs=3), page)
    assert jobs == {"train_probe": 1, "explorer": 1}
    jobs = changed(lambda c: c.update(explorer={"layout": "fisher"}), page)
    assert jobs == {"layout": 1, "explorer": 1}


def test_probes_do_not_depend_on_labels_of_the_adapt_set(finished, tmp_path):
    other = tmp_path / "permuted"
    shutil.copytree(finished, other)
    index = other / "cache/data/adapt/samples.h5"
    times = (index.stat().st_atime, index.stat().st_mtime)
    samples = read_samples(index, labels=True)
    samples["label"] = np.random.default_rng(0).permutation(samples["label"])
    record = read_record(index)  # otherwise the index would be remade
    del record["content"]
    provenance = read_provenance(index)
    with recording(record):
        write_samples(index, samples, provenance)
    os.utime(index, times)  # otherwise Snakemake would embed the same images again
    paths = [f"{RESULTS}/{name}/probes.h5" for name in ("lp_clip", "supervised")]
    forced = ("--forcerun", "pseudo_labels", "train_probe")
    snakemake(other, *forced, "--", *paths, code=other)
    before, after = (
        [lpclip.load_probe(folder / path).weight for path in paths] for folder in (finished, other)
    )
    assert np.array_equal(before[0], after[0])
    assert not np.array_equal(before[1], after[1])


def test_no_label_free_rule_has_an_index_with_labels_as_input(finished):
    text, adapt = "cache/tiny/text/digits.h5", "cache/tiny/images/adapt/adapt.h5"
    labels = f"{RESULTS}/pseudo_labels/aligned.h5"
    described = ", ".join(
        f"{RESULTS}/{name}" for name in ("pool.csv", "pool_classes.csv", "pool.csv.made_from.json")
    )
    # Every file that these jobs can read; only `supervised` has one with labels.
    assert inputs_of_jobs(finished, "-n", "--forceall") == {
        labels: {text, adapt},
        described: {text, adapt, *(f"cache/tiny/images/{s}/clean.h5" for s in ("adapt", "test"))},
        f"{RESULTS}/zero_shot/probes.h5": {text},
        f"{RESULTS}/lp_clip/probes.h5": {text, adapt, labels},
        f"{RESULTS}/supervised/probes.h5": {
            text,
            "cache/tiny/images/adapt/clean.h5",
            "cache/data/adapt/samples.h5",
        },
    }


def test_of_methods_made_from_others_only_one_that_fits_labels_reads_them(tmp_path):
    folder = prepare(tmp_path / "run")
    config = yaml.safe_load(yaml.safe_dump(CONFIG))
    config["methods"]["way"] = {"kind": "wise_ft", "method": "lp_clip"}
    config["methods"]["scaled"] = {"kind": "temperature_scaling", "method": "way"}
    write(folder, config)
    jobs = inputs_of_jobs(folder, "-n")
    text = "cache/tiny/text/digits.h5"
    assert jobs[f"{RESULTS}/way/probes.h5"] == {text, f"{RESULTS}/lp_clip/probes.h5"}
    assert jobs[f"{RESULTS}/scaled/probes.h5"] == {
        text,
        f"{RESULTS}/way/probes.h5",
        "cache/tiny/images/adapt/clean.h5",
        "cache/data/adapt/samples.h5",
    }


def test_pandas_opens_the_tables(finished):
    table = pd.read_hdf(finished / "cache/tiny/images/test/clean.h5", "samples")
    assert list(table.columns) == ["id", "path"]
    assert len(table) == 899


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda c: c.update(sedes=[1]), "Did you mean 'seeds'?"),
        (lambda c: c["views"]["corruptions"].update(severities=[6]), "allowed: 1, 2, 3, 4, 5"),
        (lambda c: c["benchmarks"]["digits"]["class_names"].pop(), "its class '9' is not among"),
        (
            lambda c: c["datasets"]["far"].update(source={"kind": "folder", "root": "nowhere"}),
            "the folder 'nowhere' does not exist",
        ),
    ],
)
def test_a_mistake_in_the_configuration_is_a_sentence(tmp_path, edit, sentence):
    folder = prepare(tmp_path / "wrong")
    config = yaml.safe_load(yaml.safe_dump(CONFIG))
    edit(config)
    write(folder, config)
    status, text = run(folder, "-n", code=folder)
    assert status != 0
    assert sentence in text
    assert "Traceback" not in text


@pytest.mark.parametrize("name", ["page/templates/run.html", "templates/head.html"])
def test_a_template_of_the_page_reruns_the_page_alone(finished, name):
    template = finished / "lpclip/reporting" / name
    text = template.read_text()
    try:
        template.write_text(text + "<p>More.</p>")
        assert planned(finished, code=finished) == {"page": 1}
    finally:
        template.write_text(text)


def test_a_report_holds_what_methods_are_compared_by(finished):
    assert len(pd.read_csv(finished / "results/report.csv").columns) <= 40


def test_the_page_has_the_results_and_the_time_of_every_stage(finished):
    page = (finished / "results/report.html").read_text()
    accuracy = pd.read_csv(finished / "results/report.csv")["accuracy"]
    assert all(f"{100 * value:.1f}" in page for value in accuracy)
    logged = {
        path.relative_to(finished / "logs").parts[0] for path in finished.glob("logs/**/*.tsv")
    }
    # Those of the explorer may run at the same time as the page, or later.
    later = {"page", "thumbnails", "layout", "explorer"}
    stages = {name.removesuffix(".tsv") for name in logged} - later
    assert {"embed_images", "train_probe", "report"} < stages
    assert all(f'<th scope="row">{stage}</th>' in page for stage in stages)


def test_snakemake_s_own_report_has_the_results_with_captions(finished, tmp_path):
    snakemake(finished, "--report", tmp_path / "report.html", code=finished)
    text = (tmp_path / "report.html").read_text()
    for name in ("report.csv", "comparisons.csv", "report.html", "severity.png"):
        assert name in text
    assert "paired over images" in text


def test_predictions_of_every_experiment_agree_with_the_report(finished):
    report = pd.read_csv(finished / "results/report.csv").set_index("method")
    for method, row in report.iterrows():
        right = []
        for seed in range(row["n_seeds"]):
            key = f"tiny/digits/{method}/seed_{seed}"
            table = pd.read_hdf(finished / "results/predictions.h5", key)
            right.append((table["label"] == table["prediction"]).mean())
        assert np.mean(right) == pytest.approx(row["accuracy"], abs=1e-5)
