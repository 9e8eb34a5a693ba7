"""Options of ``lpclip init``."""

import argparse
from pathlib import Path

from lpclip.utils.printing import show

SUMMARY = "start a project of your own images: look at them, estimate the cost, write its files"
EXPLANATION = """
examples:
  lpclip init my-project
  lpclip init my-project --unlabelled photos/ --labelled none --classes "cat, dog, bicycle"
  lpclip init my-project --unlabelled photos/ --labelled photos-by-class/ --model ViT-L-14
  lpclip init try --unlabelled digits/ --labelled none --classes names.txt --model tiny \\
      --templates "a photo of the number {}."

What an option does not answer is asked in a terminal. Then the images are looked at: how many there
are, how large, which cannot be read (of more than 1,000 a random sample), and which classes have
labelled images; a folder that is none of the classes is refused, with the nearest name. Last, the
model embeds a few images, to estimate what a run costs on this machine. Nothing is downloaded.

It writes
  my-project/config.yaml                    what is run, with comments; edit it
  my-project/Snakefile                      the workflow of the installed lpclip as a module; your
                                            own rules go below
  my-project/profiles/default/config.yaml   options that Snakemake takes from there by itself
and nothing where one of these is already. Images stay where they are.

Then, in the same environment:
  cd my-project
  snakemake --cores 8 results/report.csv results/report.html
which downloads the model's weights once, embeds the images, trains the heads and writes tables and
a page. Labelled images are for evaluation alone. Without any (none), everything is trained, and the
reports have what can be known without labels: what the unlabelled set is, and what the guard
estimates. Accuracy is not among it.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add = parser.add_argument
    add("project", type=Path, metavar="PROJECT", help="folder for the project, made if need be")
    add("--unlabelled", metavar="FOLDER", help="images to learn from, in any folders below it")
    add(
        "--labelled",
        metavar="FOLDER",
        help="images to measure accuracy with, one folder per class; or none",
    )
    add(
        "--classes",
        metavar="NAMES",
        help="class names as in a caption: a list with commas between them; a text file with one "
        "per line; imagenet; or folders, for the names of the folders in --labelled, or else in "
        "--unlabelled (default with --labelled: folders)",
    )
    add(
        "--model",
        help="ViT-B-32 (the default), ViT-B-16 or ViT-L-14 with OpenAI's weights; tiny, a small "
        "one within lpclip; ARCHITECTURE:PRETRAINED, with a tag of open_clip or a checkpoint file; "
        "hf-hub:org/name; or local-dir:folder",
    )
    add(
        "--templates",
        nargs="+",
        default=["openai_imagenet"],
        metavar="TEXT",
        help="sentences with {} in the place of a class name, a text file of them, or a set: "
        "openai_imagenet (the default, 80 for photographs) or simple (7)",
    )


def run(options: argparse.Namespace) -> None:
    """Ask, look, estimate the cost, and write the project."""
    from lpclip.cli.init.main import start

    show(start(options))
