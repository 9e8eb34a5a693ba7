"""Which of Snakemake's messages are left out, and its reasons in a few words."""

import re
from collections.abc import Mapping
from logging import INFO, LogRecord

from snakemake_interface_logger_plugins.common import LogEvent

# What lines of finished stages replace; the complete log, in .snakemake/log, has it all.
_REPLACED = frozenset(
    {
        LogEvent.WORKFLOW_STARTED,
        LogEvent.JOB_STARTED,
        LogEvent.GROUP_INFO,
        LogEvent.RESOURCES_INFO,
        LogEvent.RULEGRAPH,
    }
)
# A message that is not here is printed: nothing that Snakemake may report one day is lost.
_LEFT_OUT = re.compile(
    "|".join(
        (
            r"Assuming unrestricted shared filesystem usage\.",
            r"Building DAG of jobs\.\.\.",
            r"Using shell: ",
            r"Group jobs: inactive",
            r"Conda environments: ignored",
            r"Singularity containers: ignored",
            r"Select jobs to execute\.\.\.",
            r"DAG of jobs will be updated after completion\.",
            r"Updating checkpoint dependencies\.",
            r"Processed \d+ potential jobs\.",
            r"Removing temporary output ",
            r"Removing local copy of storage file",
            r"Retrieving from storage: ",
            r"Finished retrieval\.",
            r"Storing in storage: ",
            r"Storing output in storage\.",
            r"Finished upload\.",
            r"Touching output file ",
            r"Job \S+ has been submitted with ",
            r"Elapsed time: ",
        )
    )
)
# What other jobs updated is left out: it follows from the reasons of these jobs.
_REASONS = {
    "Forced execution": "forced",
    "Incomplete output files": "interrupted before",
    "Updated input files": "an input is newer",
    "Set of input files has changed": "other inputs",
    "Code has changed": "the rule changed",
    "Params have changed": "settings or code changed",
    "Software environment definition has changed": "another environment",
}
_FIRST = re.compile(rf"(?:^|; )({'|'.join(_REASONS)})")


def is_left_out(record: LogRecord) -> bool:
    """Whether a message of Snakemake is not printed."""
    event = getattr(record, "event", None)
    if event is not None:
        return event in _REPLACED
    return record.levelno <= INFO and _LEFT_OUT.match(str(record.msg)) is not None


def made_again(reason: str) -> str:
    """Return in a few words why a job runs whose output was there; "" where it was not.

    >>> made_again("Missing output files: a.h5; Params have changed since last execution: {}")
    ''
    >>> made_again("Updated input files: a.h5; Params have changed since last execution: {}")
    'an input is newer and settings or code changed'
    """
    if reason.startswith("Missing output files"):
        return ""
    return " and ".join(dict.fromkeys(_REASONS[found] for found in _FIRST.findall(reason)))


def of_wildcards(wildcards: Mapping[str, str]) -> str:
    """Return what a job is about: the values of its wildcards.

    >>> of_wildcards({"model": "tiny", "dataset": "digits-test", "views": "noise"})
    'tiny digits-test noise'
    """
    return " ".join(map(str, wildcards.values()))
