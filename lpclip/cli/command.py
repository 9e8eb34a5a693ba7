"""The command ``lpclip``: every stage of the workflow, by hand or by its rule.

A stage's options come from its function: parameters that are paths become options, all others
are keys of ``--settings``, one JSON text. Nothing heavy is imported before the stage is
chosen.
"""

import argparse
import errno
import importlib
import inspect
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, get_args

from lpclip.cli.common_options import DEVICE_HELP
from lpclip.cli.hand_over import hand_over
from lpclip.cli.log_files import WARNINGS, show_error, show_unexpected, start_log
from lpclip.cli.plugins import installed, kinds_help, use_plugins
from lpclip.cli.stages import STAGES
from lpclip.cli.tools import TOOLS
from lpclip.cli.tools import run as run_tool
from lpclip.errors import LpclipError, did_you_mean
from lpclip.storage.json_text import parse_json
from lpclip.utils.host import cores

log = logging.getLogger(__name__)

# Settings of the command or of Snakemake, which re-runs a job when they change: not the stage's.
FOR_SNAKEMAKE = ("plugins", "code", "versions", "order", "checkpoint", "files")

# Where errors without a file name come from; ``utils.atomic.disk_errors`` names lpclip's files.
NAMELESS: Mapping[int, str] = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO), "standard output"),
    errno.ENOENT: "the working directory",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 if it succeeded, 1 with a sentence if it did not."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    logging.getLogger("lpclip").addHandler(WARNINGS)
    logging.getLogger("lpclip").propagate = False  # open_clip sets up a root logger of its own
    try:
        hand_over(arguments)
        _run(arguments)
        sys.stdout.flush()
    except LpclipError as error:
        log.error("%s", error)
        show_error(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has gone (``lpclip inspect … | head``).
        _drop_output()
    except OSError as error:
        # Most likely a path that cannot be read or written; a log has the whole story.
        log.exception("stopped by an error of the file system")
        _drop_output()
        place = error.filename or NAMELESS.get(error.errno or 0)
        if place is None or error.strerror is None:
            raise
        show_error(f"{place}: {error.strerror}.")
        sys.exit(1)
    except Exception:
        if not show_unexpected():
            raise
        sys.exit(1)


def _drop_output() -> None:
    """Drop what waits for the standard output if that cannot be written."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(arguments: Sequence[str]) -> None:
    command = arguments[0] if arguments else "--help"
    if command in ("-h", "--help"):
        print(_overview())
    elif command == "--version":
        print(f"lpclip {version('lpclip')}")
    elif command in TOOLS:
        run_tool(command, arguments[1:])
    elif command in STAGES:
        _run_stage(command, arguments)
    else:
        raise LpclipError(
            f"Unknown command '{command}'. {did_you_mean(command, [*STAGES, *TOOLS])}"
        )


def _overview() -> str:
    width = max(map(len, STAGES)) + 2
    stages = "\n".join(f"  {name:{width}}{stage.summary}" for name, stage in STAGES.items())
    tools = "\n".join(f"  {name:{width}}{text}" for name, (text, *_) in TOOLS.items())
    return (
        "usage: lpclip COMMAND [OPTIONS]\n\n"
        "Label-free linear probes on CLIP. The whole workflow is run by Snakemake:\n"
        "  snakemake --cores 8 results/report.csv results/report.html\n"
        "lpclip init starts a project of your own images.\n\n"
        f"Stages, in the order in which the workflow runs them:\n{stages}\n\n"
        f"Tools:\n{tools}\n\n{installed()}"
        "lpclip COMMAND --help explains a command and its settings. The first line of every log\n"
        "in logs/ is the command that made it."
    )


def _run_stage(command: str, arguments: Sequence[str]) -> None:
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--threads")
    early.add_argument("--settings")
    known = early.parse_known_args(arguments[1:])[0]
    if known.threads is not None:
        # Read by the numerical libraries when they are imported, which the next line does.
        _limit_threads(known.threads)
    function = _function(command)
    if {"-h", "--help"} & set(arguments):
        use_plugins(_parse_settings(known.settings or "{}"))
    files = _file_options(function)
    options = vars(_parser(command, function, files).parse_args(arguments[1:]))
    _refuse_shared_files(options, files)
    start_log(options.pop("log"), arguments)
    for name, option in files.items():
        if option.check is not None and options[name] is not None:
            option.check(options[name])
    options.pop("threads")
    memory_gb = options.pop("memory_gb")
    asked = _parse_settings(options.pop("settings"))
    use_plugins(asked)
    settings = {key: value for key, value in asked.items() if key not in FOR_SNAKEMAKE}
    from lpclip.storage import made_from
    from lpclip.utils.memory import limit_memory
    from lpclip.utils.settings import call

    if memory_gb is not None:
        limit_memory(memory_gb)
    for key in settings:
        if key in files:
            raise LpclipError(f"lpclip {command}: '{key}' is an option, --{_dashed(key)}.")
    given = {name: value for name, value in options.items() if value is not None}
    read = [
        path
        for name, option in files.items()
        if option.is_recorded
        for path in _paths(given.get(name))
        if not path.is_dir()  # of the logs only times are shown
    ]
    output: Path = given["output"] / STAGES[command].main_file
    record = made_from.record_of(command, asked, read, output=output)
    started = time.time_ns()
    with made_from.recording(record):
        call(function, {**settings, **given}, where=f"lpclip {command}", strict=True)
    if output.suffix != ".h5":
        written = [given[name] for name, option in files.items() if option.check and name in given]
        made_from.write_record(output, record, _files_of(written, since=started))


def _files_of(outputs: Sequence[Path], *, since: int) -> list[Path]:
    """Tables and JSON files that were written; of a folder those of this run.

    HDF5 files have a record of their own, and the page shows how long all took: equal runs do not
    give equal bytes.
    """
    found = [path for path in outputs if path.is_file() and path.suffix in (".csv", ".json")]
    for folder in filter(Path.is_dir, outputs):
        tables = sorted(folder.glob("*.csv"))
        # File systems note times a little late or coarsely.
        found += [path for path in tables if path.stat().st_mtime_ns >= since - 2_000_000_000]
    return found


def _paths(value: Path | Sequence[Path] | None) -> Sequence[Path]:
    return [] if value is None else [value] if isinstance(value, Path) else value


def _function(command: str) -> Callable[..., None]:
    module, _, name = STAGES[command].function.partition(":")
    function: Callable[..., None] = getattr(importlib.import_module(module), name)
    return function


class _FileOption(NamedTuple):
    """A parameter that is a path, or several."""

    several: bool
    check: Callable[[Path], None] | None  # refuses what cannot be written; None for a file to read
    is_recorded: bool  # as a file that the output was made from


def _file_options(function: Callable[..., None]) -> dict[str, _FileOption]:
    from lpclip.types import ConsumedFile, OutputFile, OutputFolder
    from lpclip.utils.writable import check_output_file, check_output_folder

    kinds: dict[Any, Callable[[Path], None] | None] = {
        Path: None,
        ConsumedFile: None,
        OutputFile: check_output_file,
        OutputFolder: check_output_folder,
    }
    found = {}
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        annotation = parameter.annotation
        inside = () if annotation in kinds else get_args(annotation)
        for kind in (annotation, *inside):
            if kind in kinds:
                several = bool(inside) and type(None) not in inside
                found[name] = _FileOption(several, kinds[kind], kind is Path)
    return found


def _refuse_shared_files(options: Mapping[str, Any], files: Mapping[str, _FileOption]) -> None:
    """Refuse a file that is to be written and is named by another option as well."""
    named = dict[str, str]()
    written = [*(name for name, option in files.items() if option.check is not None), "log"]
    for name in (*written, *(name for name in files if name not in written)):
        for path in map(os.path.realpath, _paths(options[name])):
            other = named.get(path)
            if other is not None:
                raise LpclipError(
                    f"--{_dashed(other)} and --{_dashed(name)} name the same file, {path}."
                )
            if name in written:
                named[path] = name


def _parser(
    command: str, function: Callable[..., None], files: Mapping[str, _FileOption]
) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"lpclip {command}",
        description=f"{inspect.getdoc(function)}\n\nSettings and their defaults:\n"
        f"{_settings_help(function, files)}\n\n{kinds_help(command)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for name, option in files.items():
        required = inspect.signature(function).parameters[name].default is inspect.Parameter.empty
        several = "*" if option.several else None
        parser.add_argument(
            f"--{_dashed(name)}", type=Path, metavar="FILE", nargs=several, required=required
        )
    # Options, since they change no result: Snakemake is not to run a job again for them.
    if "workers" in inspect.signature(function).parameters:
        parser.add_argument("--workers", type=int, help="processes that decode images")
    if "device" in inspect.signature(function).parameters:
        parser.add_argument("--device", help=DEVICE_HELP)
    if "rows" in inspect.signature(function).parameters:
        place = ("START", "STOP")
        parser.add_argument("--rows", type=int, nargs=2, metavar=place, help="rows of a shard")
    parser.add_argument("--settings", default="{}", help="one JSON text, keys as above")
    parser.add_argument("--log", type=Path, help="write a log here, the command first")
    parser.add_argument("--threads", type=int, help="use no more threads than this")
    parser.add_argument(
        "--memory-gb",
        type=float,
        default=os.environ.get("LPCLIP_MEMORY_GB"),
        help="hold no larger arrays in memory than this; by default LPCLIP_MEMORY_GB, or 4",
    )
    return parser


def _settings_help(function: Callable[..., None], files: Mapping[str, _FileOption]) -> str:
    lines = [
        f"  {name}: {'required' if one.default is one.empty else json.dumps(one.default)}"
        for name, one in inspect.signature(function).parameters.items()
        if name not in files
    ]
    return "\n".join(lines) or "  none"


def _parse_settings(text: str) -> dict[str, Any]:
    try:
        settings = parse_json(text, finite=True)
    except ValueError as error:
        raise LpclipError(f"--settings is not valid JSON: {error}.") from error
    if not isinstance(settings, dict):
        raise LpclipError("--settings must be a JSON object, such as '{\"seed\": 0}'.")
    return settings


def _limit_threads(text: str) -> None:
    if not text.isdigit() or text == "0":
        raise LpclipError(f"--threads takes a positive whole number, not '{text}'.")
    threads = str(min(int(text), cores()))
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = threads


def _dashed(name: str) -> str:
    return name.replace("_", "-")
