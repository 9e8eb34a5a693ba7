"""``lpclip init`` from the options to the files of a project."""

import argparse
import shlex
from collections.abc import Mapping

import yaml

from lpclip.cli.init import cost, weights
from lpclip.cli.init.answers import Answers
from lpclip.cli.init.project import BENCHMARK, POOL, TEST, check_place, config_text, inside, write
from lpclip.cli.init.questions import answers_of
from lpclip.cli.init.survey import Survey, described, described_classes, survey
from lpclip.config.check import complete
from lpclip.config.checked import Checked
from lpclip.utils.host import cores
from lpclip.utils.printing import show


def start(options: argparse.Namespace) -> str:
    """Start a project; return what to do next.

    Raises:
        LpclipError: answers that cannot be used, or images that do not fit them; then nothing is
            written.
    """
    answers = answers_of(options)
    check_place(answers)
    with inside(answers.project):
        text = config_text(answers)
        config = complete(yaml.safe_load(text))
        (model,) = config.models.values()
        weights.check_tag(model)
        show("Looking at the images …")
        surveys = _look(answers, config)
        show("Measuring how fast they are embedded …")
        show(_cost(answers, config, {name: one.usable for name, one in surveys.items()}))
        written = write(answers, text)
    files = ", ".join(str(path.relative_to(answers.project)) for path in written)
    return (
        f"Written to {options.project}: {files}. Next:\n"
        f"  cd {shlex.quote(str(options.project))}\n"
        f"  snakemake --cores {cores()} results/report.csv results/report.html"
    )


def _look(answers: Answers, config: Checked) -> dict[str, Survey]:
    """Look at the images of all datasets, and print what was found."""
    surveys = {POOL: survey(config.datasets[POOL].source)}
    show(described(surveys[POOL], "Unlabelled"))
    if answers.labelled is not None:
        surveys[TEST] = survey(config.datasets[TEST].source)
        show(described(surveys[TEST], "Labelled"))
        show(described_classes(surveys[TEST], config.benchmarks[BENCHMARK].class_names))
        if answers.labelled == answers.unlabelled:
            show(
                "  They are the unlabelled images, too: accuracy is that on images that were "
                "learned from, if without their labels."
            )
    return surveys


def _cost(answers: Answers, config: Checked, rows: Mapping[str, int]) -> str:
    (model,) = config.models.values()
    corruptions = bool(config.benchmarks[BENCHMARK].corruptions)
    threads = config.compute.threads
    rate = cost.measured_rate(
        model, config.datasets[POOL], threads=threads, corruptions=corruptions
    )
    return cost.described(
        cost.cost_of(config, rows, rate),
        model=answers.model.name,
        download=0 if weights.are_here(model) else answers.model.gigabytes,
    )
