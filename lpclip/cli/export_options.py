"""Options of ``lpclip export``."""

import argparse
from pathlib import Path

from lpclip.cli.common_options import add_checkpoint_option, add_probe_options
from lpclip.utils.printing import show

SUMMARY = "write a probe, or what it predicts, as a file for programs without lpclip"
EXPLANATION = """
examples:
  lpclip export --probe results/tiny/digits/lp_clip/probes.h5 --to safetensors --output head/
  lpclip export --probe results/tiny/digits/lp_clip/probes.h5 --to onnx --output head/ --seed 1
  lpclip export --probe results/tiny/digits/lp_clip_guarded/probes.h5 --to onnx --with-encoder \\
      --output classifier/
  lpclip export --probe results/tiny/digits/lp_clip_guarded/probes.h5 --to atlas \\
      --layout results/tiny/digits/layout.h5 --output atlas/

Writes head.safetensors, head.pt (torch) or head.onnx, all with the same logits; head.json with the
class names and where the head comes from; and README.md with a program that attaches the head to
its encoder in open_clip.

With --with-encoder, classifier.onnx takes RGB pixels of any size (uint8, N x H x W x 3) and gives
class, probability and OOD score. If onnxruntime is installed, it is compared with `lpclip predict`
on images of odd sizes, and not written if a probability differs by more than 0.001.

With --to atlas, atlas.parquet has a row for each image of a layout: features, place, neighbours,
path, prediction. Apple's embedding-atlas opens it; its README.md has the command. Labels are
written only where --samples names the index that holds them.

ONNX needs: pip install 'lpclip[onnx]'
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add_probe_options(parser)
    add = parser.add_argument
    add("--to", required=True, choices=["safetensors", "torch", "onnx", "atlas"], help="format")
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
    add("--layout", type=Path, metavar="FILE", help="to atlas: the layout.h5 of the benchmark")
    add(
        "--features",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="to atlas: clean caches of its images (default: those that it was made from)",
    )
    add(
        "--samples",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="to atlas: indices whose labels are written (default: none)",
    )


def run(options: argparse.Namespace) -> None:
    """Write the files and print their names."""
    from lpclip.errors import LpclipError

    given = vars(options)
    of_atlas = {name: given.pop(name) for name in ("layout", "features", "samples")}
    if options.to != "atlas":
        if named := [name for name, value in of_atlas.items() if value is not None]:
            raise LpclipError(f"--{named[0]} goes with --to atlas, not with --to {options.to}.")
        from lpclip.cli.export import export

        show("\n".join(map(str, export(**given))))
        return
    from lpclip.cli.export_atlas import export_atlas

    of_head = {name: given.pop(name) for name in ("member", "checkpoint", "with_encoder")}
    if named := [name for name, value in of_head.items() if value not in (None, False)]:
        raise LpclipError(f"--{_OPTIONS[named[0]]} does not go with --to atlas.")
    if of_atlas["layout"] is None:
        raise LpclipError(
            "--to atlas needs --layout: snakemake results/MODEL/BENCHMARK/layout.h5 makes one."
        )
    del given["to"]
    chosen = {name: value for name, value in of_atlas.items() if value is not None}
    show("\n".join(map(str, export_atlas(**given, **chosen))))


_OPTIONS = {
    "member": "member", "checkpoint": "model-checkpoint", "with_encoder": "with-encoder"
}  # fmt: skip
