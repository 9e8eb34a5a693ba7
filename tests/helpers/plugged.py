"""Plugins in tests: files that are written, packages that look installed, and no trace of them."""

import sys
from contextlib import contextmanager

from lpclip.data import registry as sources
from lpclip.methods import registry as methods
from lpclip.utils import code_hash, plugins

SHRUNK = '''
from lpclip.methods.base import without_seeds
from lpclip.utils.settings import Share, settings_class

NEEDS = ()
SEEDED = False


@settings_class
class Settings:
    """How far."""

    strength: Share = 0.5
    """0 is zero-shot."""


def fit(head, inputs, settings, seeds):
    weight, bias = head.as_round(1)
    mean = weight.mean(axis=1, keepdims=True)
    return without_seeds(head, (weight + settings.strength * (mean - weight))[0], bias[0], seeds)
'''

SQUARES = """
from PIL import Image

from lpclip.data.base import Sample


class Source:
    class_names = None

    def __init__(self, n: int) -> None:
        self.n = n

    def samples(self):
        return [Sample(str(number), str(number), -1) for number in range(self.n)]

    def read(self, path):
        if path == "2":
            raise OSError("no square")
        return Image.new("RGB", (8, 8), (int(path), 0, 0))
"""

MARGIN = '''
import numpy as np

from lpclip.utils.settings import Positive, settings_class


@settings_class
class Settings:
    """How sharp."""

    temperature: Positive = 1.0
    """Divides the logits."""


def score(features, head, settings):
    ordered = np.sort(head.logits(features) / settings.temperature, axis=1)
    return ordered[:, -1] - ordered[:, -2]
'''

STRIPES = '''
from lpclip.utils.settings import Share, settings_class


@settings_class
class Settings:
    """How they look."""

    grey: Share = 0.5
    """Their brightness."""


def corrupt(images, severity, stream, settings):
    hidden = stream.uniform(1, images.shape[2], 1) < severity / 10
    return images.masked_fill(hidden, settings.grey)
'''

FADE = '''
from lpclip.utils.settings import Share, settings_class


@settings_class
class Settings:
    """How dark."""

    least: Share = 0.5
    """Share of the brightness that is left at least."""


def view(images, stream, settings):
    return images * stream.uniform(1, 1, 1, low=settings.least)
'''

_CACHES = (plugins._of_packages, methods._checked, sources._checked)
_OF_CODE = ("code_hash", "_closure", "_imports", "_parsed", "_normalised", "_file_of", "_folders")


def forget():
    """Forget which packages are installed, and what code was hashed."""
    for function in (*_CACHES, *(getattr(code_hash, name) for name in _OF_CODE)):
        function.cache_clear()


@contextmanager
def no_plugins():
    """Start without plugins, and end without those that were loaded."""
    before = set(sys.modules)
    plugins._files.clear()
    forget()
    try:
        yield
    finally:
        plugins._files.clear()
        forget()
        for name in set(sys.modules) - before:
            if name.startswith(("lpclip_plugin_", "their_")):
                del sys.modules[name]


def install(folder, name, group, entries, modules):
    """Write a package as an installer would; ``folder`` has to be on the path."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = "".join(f"{kind} = {module}\n" for kind, module in entries.items())
    (info / "entry_points.txt").write_text(f"[lpclip.{group}]\n{lines}")
    for path, text in modules.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
