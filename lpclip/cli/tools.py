"""Commands for people who look at results or use them; the workflow runs none of them."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lpclip.cli import audit_options, export_options, predict_options, schema
from lpclip.cli.hub import options as hub_options
from lpclip.cli.init import options as init_options
from lpclip.utils.printing import show


class Tool(NamedTuple):
    """A command of this module."""

    summary: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]
    explanation: str  # below the options of ``--help``


def run(command: str, arguments: Sequence[str]) -> None:
    """Run one of ``TOOLS``."""
    tool = TOOLS[command]
    parser = argparse.ArgumentParser(
        prog=f"lpclip {command}",
        description=f"{tool.summary[0].upper()}{tool.summary[1:]}.",
        epilog=tool.explanation.strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    tool.add_options(parser)
    tool.run(parser.parse_args(arguments))


def _inspect_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", type=Path, help="any file that lpclip wrote")
    add("--rows", type=int, default=5, help="rows to show (default: 5)")


def _inspect(options: argparse.Namespace) -> None:
    from lpclip.cli.inspect import describe

    show(describe(options.file, rows=options.rows))


def _verify_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("paths", type=Path, nargs="+", metavar="FILE", help="HDF5 files of lpclip, or folders")


def _verify(options: argparse.Namespace) -> None:
    from lpclip.errors import LpclipError
    from lpclip.storage.verify import verify

    n_files, damages = 0, list[str]()
    for found in verify(options.paths):
        n_files += 1
        damages += found.damages
        if not found.damages:
            state = f"whole, {found.n_arrays} arrays" if found.n_arrays else "without checksums"
            show(f"{found.path}: {state}")
    if damages:
        raise LpclipError(
            f"not all of the {n_files} files are whole:\n"
            + "\n".join(f"  {damage}" for damage in damages)
        )


def _summary_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("report", type=Path, help="a report.csv")
    add(
        "--format",
        choices=["text", "markdown"],
        default="text",
        help="for a terminal, explained (the default), or the README's table",
    )


def _summary(options: argparse.Namespace) -> None:
    from lpclip.reporting.markdown import markdown
    from lpclip.reporting.terminal import summary

    show((markdown if options.format == "markdown" else summary)(options.report))


def _compare_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("before", type=Path, help="a report.csv")
    add("after", type=Path, nargs="+", help="another one, or several")
    add("--all", action="store_true", help="all figures, not only the summary's")
    add("--html", type=Path, metavar="FILE", help="write a page with all runs in place of text")


def _compare(options: argparse.Namespace) -> None:
    from lpclip.reporting.compare import compare

    if options.html is None:
        texts = (compare(options.before, one, every=options.all) for one in options.after)
        show("\n\n".join(texts))
        return
    from lpclip.reporting.comparison_page import write_comparison

    write_comparison([options.before, *options.after], options.html, every=options.all)
    show(str(options.html))


TOOLS: Mapping[str, Tool] = {
    "init": Tool(
        init_options.SUMMARY,
        init_options.add_options,
        init_options.run,
        init_options.EXPLANATION,
    ),
    "schema": Tool(*schema.TOOL),
    "predict": Tool(
        predict_options.SUMMARY,
        predict_options.add_options,
        predict_options.run,
        predict_options.EXPLANATION,
    ),
    "export": Tool(
        export_options.SUMMARY,
        export_options.add_options,
        export_options.run,
        export_options.EXPLANATION,
    ),
    "push": Tool(
        hub_options.PUSH_SUMMARY,
        hub_options.add_push_options,
        hub_options.push,
        hub_options.PUSH_EXPLANATION,
    ),
    "pull": Tool(
        hub_options.PULL_SUMMARY,
        hub_options.add_pull_options,
        hub_options.pull,
        hub_options.PULL_EXPLANATION,
    ),
    "audit": Tool(
        audit_options.SUMMARY,
        audit_options.add_options,
        audit_options.run,
        audit_options.EXPLANATION,
    ),
    "inspect": Tool(
        "show what a file is, where it comes from, and its first rows",
        _inspect_options,
        _inspect,
        """
examples:
  lpclip inspect cache/tiny/images/digits-test/clean.h5
  lpclip inspect results/tiny/digits/lp_clip/probes.h5 --rows 20
  lpclip inspect results/robustness.csv
""",
    ),
    "verify": Tool(
        "compare files with their checksums, to find what a failing disk changed",
        _verify_options,
        _verify,
        """
examples:
  lpclip verify cache/tiny/images/digits-test/clean.h5
  lpclip verify cache results

Reads all arrays and attributes of HDF5 files that lpclip wrote, of a folder all that end in .h5,
and prints one line for each that is whole. Arrays that differ from what was written are listed at
the end, by file and name, with the option that makes such a file again, and the exit status is 1.
Every command verifies the arrays that it reads; `lpclip verify` checks those, too,
that others read (pandas, lpclip.map_features), and the attributes. Files of versions that wrote no
checksums are reported as "without checksums".
""",
    ),
    "summary": Tool(
        "print a report as a table",
        _summary_options,
        _summary,
        """
examples:
  lpclip summary results/report.csv
  lpclip summary results/report.csv --format markdown
""",
    ),
    "compare": Tool(
        "what is better or worse in one report than in another, beyond noise or not",
        _compare_options,
        _compare,
        """
examples:
  cp -r results before          # change something, run Snakemake again, and then:
  lpclip compare before/report.csv results/report.csv
  lpclip compare before/report.csv results/report.csv --all
  lpclip compare runs/*/results/report.csv --html comparison.html

Every report is compared with the first. Per cent, except mCE and NLL.
A change counts as "better" or "worse" if it is larger than noise
makes it 95 times out of 100, and else as "within noise". Noise is made up of
  seeds   the standard deviation over the seeds of either report, for every figure;
  images  for accuracies, how many test images there are (robustness.csv next to the report),
          as if the two reports had different images: with the same ones, small changes may be
          real that are called noise here.
The margin is Student's t times the root of the variances' sum (Welch). With one seed and no number
of images it is "unknown". Of many figures, one in twenty looks changed by chance.
""",
    ),
}
