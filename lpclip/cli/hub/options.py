"""Options of ``lpclip push`` and ``lpclip pull``."""

import argparse
from pathlib import Path

from lpclip.cli.common_options import add_probe_options
from lpclip.utils.printing import show

PUSH_SUMMARY = "share a probe on the Hugging Face hub, with its evidence"
PUSH_EXPLANATION = """
examples:
  lpclip push --probe results/tiny/digits/lp_clip_guarded/probes.h5 --output shared/
  lpclip push --probe results/tiny/digits/lp_clip_guarded/probes.h5 --to me/my-head
  lpclip push --probe results/tiny/digits/lp_clip_guarded/probes.h5 --to me/my-head --public

With --output alone nothing leaves this machine: look at the folder first. It holds
  probe.safetensors   the probe and its zero-shot head, with their provenance
  head.safetensors, head.json
                      the head for programs without lpclip, as `lpclip export` writes it
  guard.csv           the guard's evidence, where the method has a guard
  README.md           the model card: what the head is, the guard's decision, accuracy on every
                      shift compared with zero-shot with intervals, and how to use it
No image, no path and no label is in them. The table comes from the reports of the run.

--to creates the repository, private unless --public is given, or adds a commit to it. Log in before
with `hf auth login`, or set HF_TOKEN.
"""
PULL_SUMMARY = "fetch a probe that somebody shared on the Hugging Face hub"
PULL_EXPLANATION = """
examples:
  lpclip pull me/my-head --output my-head/
  lpclip pull me/my-head --revision v1 --output my-head/
  lpclip predict --probe my-head/probes.h5 photos/

Writes what was pushed, and probes.h5, which every command takes. Nothing in it is a program. The
image encoder is not part of it: `lpclip predict` loads it by the probe's provenance, and refuses
any other.
"""


def add_push_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``lpclip push``."""
    add_probe_options(parser)
    add = parser.add_argument
    add("--to", metavar="OWNER/NAME", help="repository on the hub")
    add("--public", action="store_true", help="everybody may see a repository that is created")
    add("--output", type=Path, metavar="FOLDER", help="keep the files here")
    add(
        "--results",
        type=Path,
        metavar="FOLDER",
        help="reports of the run (default: the results/ that the probe is in)",
    )
    add("--license", metavar="ID", help="licence of the head, such as mit or cc-by-4.0")


def push(options: argparse.Namespace) -> None:
    """Write or share the files, and print where they are."""
    from lpclip.cli.hub.push import push as run

    show(run(**vars(options)))


def add_pull_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``lpclip pull``."""
    add = parser.add_argument
    add("repository", metavar="OWNER/NAME", help="on the hub")
    add("--revision", default="main", help="branch, tag or commit (default: main)")
    add("--output", type=Path, required=True, metavar="FOLDER", help="folder for the files")


def pull(options: argparse.Namespace) -> None:
    """Fetch the files and print their names."""
    from lpclip.cli.hub.pull import pull as run

    show("\n".join(map(str, run(**vars(options)))))
