"""Options of ``lpclip predict``."""

import argparse
from pathlib import Path

from lpclip.cli.common_options import DEVICE_HELP, add_checkpoint_option, add_probe_options
from lpclip.utils.printing import show_data

SUMMARY = "classes, confidence and OOD scores of images by a trained probe"
EXPLANATION = """
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
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add = parser.add_argument
    add(
        "inputs",
        type=Path,
        nargs="+",
        metavar="IMAGES",
        help="image files, folders (with all below them), or feature caches (.h5)",
    )
    add_probe_options(parser)
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
    add_checkpoint_option(parser)
    add("--batch-size", type=int, default=64, help="images at once (default: 64)")
    add("--workers", type=int, default=0, help="processes that decode (default: 0, this one)")
    add("--device", default="auto", help=DEVICE_HELP)


def run(options: argparse.Namespace) -> None:
    """Predict, and write or print the table."""
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
