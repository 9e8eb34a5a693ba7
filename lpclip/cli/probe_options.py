"""Options of commands that read a probe: which one, and where its model is."""

import argparse
from pathlib import Path


def add_probe(parser: argparse.ArgumentParser) -> None:
    """Add which probe."""
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


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Add where the weights of the model are."""
    parser.add_argument(
        "--model-checkpoint",
        dest="checkpoint",
        type=Path,
        metavar="FILE",
        help="the model's weights, where they are not what the probes file names",
    )
