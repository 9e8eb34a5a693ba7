"""Options that several commands have."""

import argparse
from pathlib import Path

DEVICE_HELP = (
    "auto (the default), a GPU if there is one; cpu; cuda, of the GPUs that CUDA_VISIBLE_DEVICES "
    "allows one that no other lpclip uses, else the one that the fewest use; cuda:1, that one"
)


def add_probe_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose a probe of a file."""
    add = parser.add_argument
    add(
        "--probe",
        dest="probes",
        type=Path,
        required=True,
        metavar="FILE",
        help="a probes.h5 of results/",
    )
    add("--round", type=int, default=-1, help="0 is zero-shot, -1 the last (default: -1)")
    add("--seed", type=int, help="seed of the probe (default: its first)")


def add_checkpoint_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where the weights of the model are."""
    parser.add_argument(
        "--model-checkpoint",
        dest="checkpoint",
        type=Path,
        metavar="FILE",
        help="the model's weights, where they are not what the probes file names",
    )
