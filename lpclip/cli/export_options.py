"""Options of ``lpclip export``."""

import argparse
from pathlib import Path

from lpclip.cli.common_options import add_checkpoint_option, add_probe_options
from lpclip.utils.printing import show

SUMMARY = "write a probe as a file for programs without lpclip"
EXPLANATION = """
examples:
  lpclip export --probe results/tiny/digits/lp_clip/probes.h5 --to safetensors --output head/
  lpclip export --probe results/tiny/digits/lp_clip/probes.h5 --to onnx --output head/ --seed 1
  lpclip export --probe results/tiny/digits/lp_clip_guarded/probes.h5 --to onnx --with-encoder \\
      --output classifier/

Writes head.safetensors, head.pt (torch) or head.onnx, all with the same logits; head.json with the
class names and where the head comes from; and README.md with a program that attaches the head to
its encoder in open_clip.

With --with-encoder, classifier.onnx takes RGB pixels of any size (uint8, N x H x W x 3) and gives
class, probability and OOD score. If onnxruntime is installed, it is compared with `lpclip predict`
on images of odd sizes, and not written if a probability differs by more than 0.001.

ONNX needs: pip install 'lpclip[onnx]'
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add_probe_options(parser)
    add = parser.add_argument
    add("--to", required=True, choices=["safetensors", "torch", "onnx"], help="format of the head")
    add("--output", type=Path, required=True, metavar="FOLDER", help="folder for the files")
    add(
        "--member",
        type=int,
        help="of an ensemble, counted from 0: the mean of its probabilities is no linear head",
    )
    add(
        "--with-encoder",
        action="store_true",
        help="with the image encoder and its preprocessing, in one ONNX file",
    )
    add_checkpoint_option(parser)


def run(options: argparse.Namespace) -> None:
    """Write the files and print their names."""
    from lpclip.cli.export import export

    show("\n".join(map(str, export(**vars(options)))))
