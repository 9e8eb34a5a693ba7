"""Commands for people who look at results or use them; the workflow runs none of them."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lpclip.cli import audit_options, export_options
from lpclip.cli.probe_options import add_checkpoint, add_probe
from lpclip.utils.printing import show, show_data

DEVICE_HELP = (
    "auto (the default), a GPU if there is one; cpu; cuda, of the GPUs that CUDA_VISIBLE_DEVICES "
    "allows one that no other lpclip uses, else the one that the fewest use; cuda:1, that one"
)


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


def _predict_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "inputs",
        type=Path,
        nargs="+",
        metavar="IMAGES",
        help="image files, folders (with all below them), or feature caches (.h5)",
    )
    add_probe(parser)
    add("--top-k", type=int, default=5, help="classes to list (default: 5)")
    add(
        "--output",
        type=Path,
        metavar="FILE",
        help="a .csv or .parquet file (default: CSV on the standard output)",
    )
    add(
        "--adapt",
        type=Path,
        metavar="FILE",
        help="clean.h5 of the unlabelled images that the probe was adapted on: adds the scores "
        "nearest_neighbours and mahalanobis, the distances to them (of one of them, to the others)",
    )
    add_checkpoint(parser)
    add("--batch-size", type=int, default=64, help="images at once (default: 64)")
    add("--workers", type=int, default=0, help="processes that decode (default: 0, this one)")
    add("--device", default="auto", help=DEVICE_HELP)


def _predict(options: argparse.Namespace) -> None:
    from lpclip.cli.predict import predict
    from lpclip.errors import LpclipError

    found = predict(**vars(options))
    if options.output is None:
        show_data(found.table.to_csv(index=False, float_format="%.9g"))
    if found.bad:
        raise LpclipError(
            f"{len(found.bad)} of {len(found.bad) + len(found.table)} images have no row:\n"
            + "\n".join(f"  {error.path}: {error.reason}" for error in found.bad)
        )


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
    add("after", type=Path, help="another one")
    add("--all", action="store_true", help="all figures, not only the summary's")


def _compare(options: argparse.Namespace) -> None:
    from lpclip.reporting.compare import compare

    show(compare(options.before, options.after, every=options.all))


TOOLS: Mapping[str, Tool] = {
    "predict": Tool(
        "classes, confidence and OOD scores of images by a trained probe",
        _predict_options,
        _predict,
        """
examples:
  lpclip predict --probe results/tiny/digits/lp_clip/probes.h5 photo.png more/photos/
  lpclip predict --probe results/tiny/digits/lp_clip/probes.h5 photos/ --output photos.parquet
  lpclip predict --probe results/tiny/digits/lp_clip/probes.h5 \\
      cache/tiny/images/digits-test/clean.h5 --top-k 3
  lpclip predict --probe results/tiny/digits/lp_clip/probes.h5 photos/ \\
      --adapt cache/tiny/images/digits-adapt/clean.h5

One row per image, in the order of the arguments; a folder's images by their paths. Columns:
  id, path            a folder's images have their path below it as id
  prediction          the most probable class
  confidence          its probability
  half_way_max_logit, max_logit, mcm
                      OOD scores, low for images of none of the probe's classes; they have no scale,
                      so choose a threshold on known images. Half-way is the head between zero-shot
                      and the probe
  nearest_neighbours, mahalanobis
                      with --adapt, two more: how near the unlabelled images are. `lpclip summary`
                      recommends a score for each method
  class_2, confidence_2, …
                      the next classes, as far as --top-k goes

The model is the one that the probe was trained with; it is loaded by the provenance of the
probes file, and refused if its weights are others. An image that cannot be read has no row: the
others are predicted, then all such paths are listed and the exit status is 1.
""",
    ),
    "export": Tool(
        export_options.SUMMARY,
        export_options.add_options,
        export_options.run,
        export_options.EXPLANATION,
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

Per cent, except mCE and NLL. A change counts as "better" or "worse" if it is larger than noise
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
