import json
import functools
import gc
import inspect
import os
import sys
import time
import traceback
from pathlib import Path
from types import SimpleNamespace

from snakemake.exceptions import IncompleteCheckpointException, WorkflowError
from snakemake.io import IOFile
from snakemake.logging import logger

from lpclip.cli.job_server import start_job_server
from lpclip.config import estimates, explored, files, shards
from lpclip.config.check import complete
from lpclip.config.constraints import one_of
from lpclip.config.jobs import Jobs
from lpclip.config.resources import JobNeeds
from lpclip.config.yaml_text import check_files
from lpclip.errors import LpclipError
from lpclip.methods.base import INPUTS
from lpclip.storage.made_from import ENDING as RECORD_ENDING
from lpclip.utils.failures import failures
from lpclip.utils.printing import visible
from lpclip.utils.run_owner import note_owner, remove_lock_of_killed_run
from lpclip.utils.slurm_queue import check_queue
from lpclip.utils.watching import was_shown
from lpclip.utils.writable import check_writable


envvars:
    "PATH",


# Jobs find the command that is installed next to this Python, whether or not its environment is
# active.
search_path = [str(Path(sys.executable).parent), os.environ["PATH"]]
os.environ["PATH"] = os.pathsep.join(search_path)


def is_part_of_another():
    """Whether this is a module to which another workflow gives a part of its configuration.

    Then the folder and the configuration files are the other one's. With all of it, as in a project
    of `lpclip init`, the workflow checks them as its own.
    """
    using = workflow.modifier.parent_modifier
    return using is not None and not (
        using.is_main_snakefile() and using.globals["config"] is config
    )


PART_OF_ANOTHER = is_part_of_another()

if workflow.is_main_process and not PART_OF_ANOTHER and remove_lock_of_killed_run(Path.cwd()):
    logger.info("The last run in this folder was killed; this one goes on from there.")

try:
    if not PART_OF_ANOTHER:
        check_writable(Path.cwd())
        check_files(workflow.configfiles)
    CONFIG = complete(config, workflow.configfiles)
except LpclipError as error:
    raise WorkflowError(f"module {__name__}: {error}" if PART_OF_ANOTHER else str(error))

# The jobs of a run are kept to its end: searching them for garbage takes a fifth of a dry run.
gc.freeze()
gc.set_threshold(100_000, 50, 100)

STARTED = time.time()
ENVIRONMENT = "../../environment.yml"
COMPUTE = CONFIG.compute
# For every command; students, whose result may depend on it, receive it as a setting as well.
os.environ.update(LPCLIP_MEMORY_GB=str(COMPUTE.memory_gb))
JOBS = Jobs(CONFIG)
_printed = set()
_needed = {}


def shares_imports():
    """Whether jobs run on this machine in this environment, and are to share their imports."""
    elsewhere = workflow.deployment_settings.deployment_method or not workflow.local_exec
    return COMPUTE.share_imports and workflow.is_main_process and not elsewhere


def signed(factory):
    """Decorate a function that makes functions for rules: each knows its own signature.

    Snakemake looks it up several times for every job.
    """

    @functools.wraps(factory)
    def make(*arguments):
        function = factory(*arguments)
        function.__signature__ = inspect.signature(function)
        return function

    return make


@signed
def settings_of(rule):
    """The one param of a rule: what it uses of the configuration and the hash of its code."""
    return lambda wildcards: JOBS.param(rule, dict(wildcards.items()))


@functools.cache
def index_of(dataset):
    """The index of a dataset, where a prefix or storage puts it."""
    return rules.index_samples.output[0].apply_wildcards({"dataset": dataset})


NEEDS = JobNeeds(CONFIG, index_of=index_of)


@signed
def memory_of(rule):
    """MB of memory of a job, more after each attempt that failed."""
    return lambda wildcards, input, attempt: attempt * _needs(rule, wildcards, input).mem_mb


@signed
def time_of(rule):
    """Minutes of a job, more after each attempt that failed."""
    return lambda wildcards, input, attempt: attempt * _needs(rule, wildcards, input).runtime


@signed
def gpu_of(rule):
    """One GPU of a job, or no such resource, since some schedulers take 0 for a request."""
    return lambda wildcards, input: _needs(rule, wildcards, input).gpu or None


def _needs(rule, wildcards, input):
    stage = "join_shards" if input.get("shards") else rule
    job = (stage, *wildcards.items())
    if job not in _needed:
        found = NEEDS.of(stage, dict(wildcards.items()), input)
        # Only of the last job: its memory, time and GPU are looked up one after another.
        _needed.clear()
        _needed[job] = found
    return _needed[job]


@signed
def reads(find, *more):
    """Input function of a rule, from a function of lpclip.config.files."""
    return lambda wildcards: find(CONFIG, dict(wildcards.items()), *more)


@signed
def reads_given(find):
    """The same for files that the user gave: neither a module's prefix nor storage moves them."""
    return lambda wildcards: [local(path) for path in find(CONFIG, dict(wildcards.items()))]


def of_experiments(name, **which):
    """The file of this name of every model, benchmark and method."""
    pattern = f"results/{{model}}/{{benchmark}}/{{method}}/{name}"
    return files.experiments(CONFIG, pattern, **which)


@signed
def options(names):
    """Param: command-line options for those of a rule's named inputs that it has."""
    return lambda wildcards, input: [
        text
        for name in names
        if input.get(name)
        for text in (f"--{name.replace('_', '-')}", input[name])
    ]


def check_submitted():
    """Stop where Slurm still has jobs of a run that was killed."""
    if workflow.executor_plugin.name == "slurm":
        try:
            check_queue(Path.cwd())
        except LpclipError as error:
            raise WorkflowError(str(error))


def accept_finished(path):
    """Take an output as done that a submitted job made after the run itself was killed.

    An output gets its name when it is whole; the run only could not take note of it.
    """
    file = IOFile(str(path))
    submitted = workflow.persistence.external_jobids(SimpleNamespace(output=[file]))
    if submitted and workflow.is_main_process:
        workflow.persistence.cleanup_metadata(file)


def shown(name, category, caption=None):
    """An output in results/ that Snakemake's own report shows."""
    caption = f"../report/{caption or Path(name).stem}.rst"
    return report(f"results/{name}", caption=caption, category=category)


@signed
def shards_of(rule):
    """Input function: the shards that a cache is joined from; none if one job makes it."""

    def find(wildcards):
        wildcards = dict(wildcards.items())
        # On the disk; Snakemake moves the paths that are returned to a module's prefix or storage.
        path = getattr(rules, rule).output[0].apply_wildcards(wildcards)
        cache = files.features(**wildcards)
        try:
            # A finished cache keeps the shards that it was made from: another division of the set
            # would give the same bytes, so it is no reason to make it again.
            before = workflow.persistence.input(IOFile(path)) if Path(path).is_file() else None
            if before is not None and not JOBS.change_of(rule, wildcards, Path(path), []):
                return shards.shards_before(cache, path, before)
            if not shards.may_have_shards(CONFIG, wildcards["dataset"]):
                return []
            counted = checkpoints.count_samples.get(dataset=wildcards["dataset"]).output[0]
            with counted.open() as file:  # which storage fetches
                n = json.load(file)["samples"]
            return shards.shards_of(CONFIG, wildcards["dataset"], cache, n)
        except IncompleteCheckpointException:
            raise
        except Exception:
            stop_here()

    return find


def stop_here():
    """Snakemake takes a job whose input function fails for one that is not needed."""
    traceback.print_exc()
    os._exit(1)


@signed
def made_from(rule):
    """Input function without files: an output that was made from something else is made again."""

    @functools.cache
    def outputs():
        output = list(getattr(rules, rule).output)
        record = getattr(rules, rule).output.get("made_from") or output[0]
        main = record.removesuffix(RECORD_ENDING)
        others = [one for one in output if one.endswith(".h5") and one != main]
        return record, others, output == [main]

    def check(wildcards):
        wildcards = dict(wildcards.items())
        record, others, alone = outputs()
        # Of files in remote storage: their local copies, if there are any.
        path = record.apply_wildcards(wildcards).removesuffix(RECORD_ENDING)
        if not os.path.isfile(path):
            return []
        siblings = [Path(one.apply_wildcards(wildcards)) for one in others]
        try:
            change = JOBS.change_of(rule, wildcards, Path(path), siblings)
        except Exception:
            stop_here()
        if change:
            workflow.dag.forcefiles.add(path)
            if (rule, change) not in _printed:
                _printed.add((rule, change))
                text = f"{path} is made again: it was made from {change}."
                logger.info(visible(text))
        elif alone:
            accept_finished(path)
        return []

    return check


wildcard_constraints:
    model=one_of(CONFIG.models),
    dataset=one_of(CONFIG.datasets),
    benchmark=one_of(CONFIG.benchmarks),
    method=one_of(CONFIG.methods),
    labelling=one_of(CONFIG.labellings),
    views=one_of([*files.PASSES, *CONFIG.corruptions]),
