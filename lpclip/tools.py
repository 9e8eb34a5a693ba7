"""Commands for people who look at results or use them; the workflow runs none of them."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Tool(NamedTuple):
    """A command of this module.

    Attributes:
        summary: one line for the overview.
        add_options: adds the command's options to its parser.
        run: does the work.
        explanation: what ``--help`` says below the options: examples and what to know.
    """

    summary: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]
    explanation: str


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
    parser.add_argument("file", type=Path, help="any file that lpclip wrote")
    parser.add_argument("--rows", type=int, default=5, help="rows to show (default: 5)")


def _inspect(options: argparse.Namespace) -> None:
    from lpclip.describe import describe

    print(describe(options.file, rows=options.rows))


def _summary_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("report", type=Path, help="a report.csv")
    parser.add_argument(
        "--format",
        choices=["text", "markdown"],
        default="text",
        help="for a terminal, explained (the default), or the README's table",
    )


def _summary(options: argparse.Namespace) -> None:
    from lpclip.report import markdown, summary

    print((markdown if options.format == "markdown" else summary)(options.report))


TOOLS: Mapping[str, Tool] = {
    "inspect": Tool(
        "say what a file is, where it comes from, and show its first rows",
        _inspect_options,
        _inspect,
        """
examples:
  lpclip inspect cache/tiny/images/digits-test/clean.h5
  lpclip inspect results/tiny/digits/lp_clip/probes.h5 --rows 20
  lpclip inspect results/robustness.csv
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
}
