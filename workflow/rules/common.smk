import json
import os
import sys
import time
import traceback
from pathlib import Path

from snakemake.exceptions import IncompleteCheckpointException, WorkflowError
from snakemake.io import IOFile
from snakemake.logging import logger

from lpclip.config import files, shards
from lpclip.config.check import complete
from lpclip.config.jobs import Jobs
from lpclip.config.yaml_text import check_files
from lpclip.errors import LpclipError
from lpclip.methods.base import INPUTS
from lpclip.storage.made_from import ENDING as RECORD_ENDING
from lpclip.utils.failures import failures
from lpclip.utils.printing import visible
from lpclip.utils.run_owner import note_owner, remove_lock_of_killed_run
from lpclip.utils.writable import check_writable


envvars:
    "PATH",


# Jobs find the command that is installed next to this Python, whether or not its environment is
# active.
search_path = [str(Path(sys.executable).parent), os.environ["PATH"]]
os.environ["PATH"] = os.pathsep.join(search_path)

if workflow.is_main_process and remove_lock_of_killed_run(Path.cwd()):
    logger.info("The last run in this folder was killed; this one goes on from there.")

try:
    check_writable(Path.cwd())
    check_files(workflow.configfiles)
    CONFIG = complete(config)
except LpclipError as error:
    raise WorkflowError(str(error))

STARTED = time.time()
ENVIRONMENT = "../../environment.yml"
COMPUTE = CONFIG.compute
JOBS = Jobs(CONFIG)
_printed = set()


def settings_of(rule):
    """The one param of a rule: what it uses of the configuration and the hash of its code."""
    return lambda wildcards: JOBS.param(rule, dict(wildcards.items()))


def reads(find, *more):
    """Input function of a rule, from a function of lpclip.config.files."""
    return lambda wildcards: find(CONFIG, dict(wildcards.items()), *more)


def of_experiments(name, **which):
    """The file of this name of every model, benchmark and method."""
    pattern = f"results/{{model}}/{{benchmark}}/{{method}}/{name}"
    return files.experiments(CONFIG, pattern, **which)


def options(names):
    """Param: command-line options for those of a rule's named inputs that it has."""
    return lambda wildcards, input: [
        text
        for name in names
        if name in input.keys()
        for text in (f"--{name.replace('_', '-')}", input[name])
    ]


def shown(name, category, caption=None):
    """An output in results/ that Snakemake's own report shows."""
    caption = f"../report/{caption or Path(name).stem}.rst"
    return report(f"results/{name}", caption=caption, category=category)


def shards_of(rule):
    """Input function: the shards that a cache is joined from; none if one job makes it."""

    def find(wildcards):
        wildcards = dict(wildcards.items())
        # Snakemake adds the prefix of a module to what is returned, and to outputs.
        path = getattr(rules, rule).output[0].format(**wildcards)
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
            n = json.loads(Path(counted).read_text())["samples"]
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


def made_from(rule):
    """Input function without files: an output that was made from something else is made again."""

    def check(wildcards):
        wildcards = dict(wildcards.items())
        output = getattr(rules, rule).output
        paths = [Path(pattern.format(**wildcards)) for pattern in output]
        record = output.get("made_from") or output[0]
        path = Path(record.format(**wildcards).removesuffix(RECORD_ENDING))
        siblings = [one for one in paths if one.suffix == ".h5" and one != path]
        try:
            change = path.is_file() and JOBS.change_of(rule, wildcards, path, siblings)
        except Exception:
            stop_here()
        if change:
            workflow.dag.forcefiles.add(str(path))
            if (rule, change) not in _printed:
                _printed.add((rule, change))
                text = f"{path} is made again: it was made from {change}."
                logger.info(visible(text))
        return []

    return check


wildcard_constraints:
    model=files.one_of(CONFIG.models),
    dataset=files.one_of(CONFIG.datasets),
    benchmark=files.one_of(CONFIG.benchmarks),
    method=files.one_of(CONFIG.methods),
    labelling=files.one_of(CONFIG.labellings),
    views=files.one_of(files.PASSES),
