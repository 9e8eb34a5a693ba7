"""A wheel of lpclip, and a small project made with what it installs."""

import shutil
import subprocess
import sys

from lpclip.data.sources.digits import Source
from tests.helpers import ROOT

SOURCE = ("lpclip", "snakemake_logger_plugin_lpclip", "configs", "profiles", "workflow")
SOURCE += ("Snakefile", "config.yaml", "environment.yml", "pyproject.toml", "setup.py")
SOURCE += ("MANIFEST.in", "README.md", "LICENSE")
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
# Little work: appended to the configuration that init wrote.
FEWER = """
seeds: [0]
views: {weak: {versions: 1}, strong: {versions: 1}}
labellings: {auto: {}}
methods:
  zero_shot: {kind: zero_shot}
  lp_clip_auto: {kind: self_training, labelling: auto, rounds: 1, optimisation: {epochs: 2}}
  lp_clip_guarded: {kind: guarded, candidates: [lp_clip_auto], adapters: []}
"""


def copy_source(folder):
    """Copy what a wheel is built from, since building leaves files there."""
    for name in SOURCE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    return folder


def build_wheel(source, folder):
    """Build the wheel of a folder or a source distribution, without a network."""
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source)
    (path,) = folder.glob("*.whl")
    return path


def pip(*arguments):
    """Run pip of this Python."""
    command = [sys.executable, "-m", "pip", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def write_digits(folder, split, n, by_class):
    """Write images of digits, as files of a user."""
    source = Source(split=split)
    for number, sample in enumerate(source.samples()[:n]):
        place = folder / NAMES[sample.label] if by_class else folder
        place.mkdir(parents=True, exist_ok=True)
        source.read(sample.path).save(place / f"{number}.png")
