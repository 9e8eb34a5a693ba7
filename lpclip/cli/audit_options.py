"""Options of ``lpclip audit``."""

import argparse
from pathlib import Path

from lpclip.utils.printing import show

SUMMARY = "check a head against zero-shot with a few labels: which images to label, and the result"
EXPLANATION = """
examples:
  lpclip audit --probe results/tiny/digits/lp_clip_guarded/probes.h5 \\
      --features cache/tiny/images/digits-adapt/clean.h5 --output audit.csv
  lpclip audit --probe results/tiny/digits/lp_clip_guarded/probes.h5 \\
      --features cache/tiny/images/digits-adapt/clean.h5 --labels audit.csv

1. --output writes the images on which the head and zero-shot predict different classes, in random
   order: only these can show which is better. Columns:
     order, id, path     of the image; the first n are a random sample of all, whatever n is
     zero_shot, head     what the two predict
     label               for you to fill in: a class name, or "other" for an image of none of them
     audit               what the list was made from; leave it as it is
   --gallery writes the same as a page to label in a browser, which saves the CSV file.
2. Label from the top and leave none out; 50 decide most cases (docs/audit.md). Choose how many
   before you look at a result. To look k times, give --confidence 100 - 5/k: 98.3 for three times.
3. --labels reads the list back: the gain over zero-shot on all images with an exact interval, and
   whether the head is better, worse, or how many labels that would take.

Labels stay in the CSV file: no training, no setting and no report reads them.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add = parser.add_argument

    def file(name: str, help: str, *, required: bool = False, dest: str | None = None) -> None:
        add(name, type=Path, metavar="FILE", help=help, required=required, dest=dest)

    file("--probe", "a probes.h5 of results/", required=True, dest="probes")
    file("--features", "clean.h5 of the unlabelled images", required=True)
    file("--output", "write the images to label as this CSV file")
    file("--gallery", "write them as this HTML page; needs --samples and the images")
    file("--samples", "samples.h5 of these images, which holds where they are (no label is read)")
    file("--labels", "read this list, filled in, and print the result")
    add("--confidence", type=float, default=95.0, help="of the result, in per cent (default: 95)")
    add("--n", type=int, default=100, help="images to list (default: 100)")
    add("--round", type=int, default=-1, help="0 is zero-shot, -1 the last (default: -1)")
    add("--seed", type=int, help="seed of the probe (default: its first)")
    add("--order", type=int, default=0, help="seed of the order (default: 0)")


def run(options: argparse.Namespace) -> None:
    """Write the list or the page, or read the list."""
    from lpclip.cli.audit import audit_of, disagreements, read_labels, write_list
    from lpclip.cli.audit_text import nothing_to_label, statement
    from lpclip.errors import LpclipError

    files = {"probes": options.probes, "features": options.features}
    if (options.labels is None) == (options.output is None and options.gallery is None):
        raise LpclipError(
            "lpclip audit takes either --labels, or --output and --gallery or one of them."
        )
    if not 50 < options.confidence < 100:
        raise LpclipError(
            f"--confidence is {options.confidence:g}; give more than 50 and below 100."
        )
    if options.labels is not None:
        found = audit_of(options.labels, **files)
        counts = read_labels(found, options.labels)
        show(statement(found, counts, level=options.confidence / 100))
        return
    found = disagreements(**files, round=options.round, seed=options.seed, order=options.order)
    if not found.rows:
        show(nothing_to_label(found))
        return
    if options.output is not None:
        n = write_list(found, options.output, n=options.n)
        show(f"{options.output}: {n} images to label, of {len(found.rows)} ({found.made_from})")
    if options.gallery is not None:
        from lpclip.cli.audit_gallery import write_gallery

        n = write_gallery(found, options.gallery, samples=options.samples, n=options.n)
        show(f"{options.gallery}: {n} images to label; open it in a browser")
