r"""Time the imagecorruptions package on one core; started by corruptions.py.

    PYTHON benchmarks/speed/corruptions_peer.py IMAGES.npy  # uint8 [N, H, W, 3]

Needs a Python with imagecorruptions, but not lpclip. An environment for it:

    python3.11 -m venv peer
    peer/bin/pip install "numpy<2" "scikit-image<0.22" "scipy<1.15" \
        "opencv-python-headless<4.12" "setuptools<81" \
        "pillow==$(python -c 'import PIL; print(PIL.__version__)')"  # lpclip's, for its codec
    peer/bin/pip install --no-deps imagecorruptions==1.1.2

Names that newer releases of its dependencies removed are restored below, so that it also runs with
current ones; no formula is changed.

Reads lines "corruption severity images" and replies to each with milliseconds of processor time per
image, or with "error: " and the reason.
"""

import importlib.util
import inspect
import os
import sys
import time
import types
from pathlib import Path
from typing import Any

import cv2  # type: ignore[import-not-found, unused-ignore]
import numpy as np
import scipy.ndimage
import skimage.filters  # type: ignore[import-not-found, unused-ignore]

PACKAGE = "imagecorruptions"


def main() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    images = np.load(sys.argv[1])
    package = load()
    versions = {m.__name__: m.__version__ for m in (np, scipy, skimage, cv2)}
    print("ready", *(f"{name} {version}" for name, version in versions.items()), flush=True)
    for line in sys.stdin:
        name, severity, count = line.split()
        try:
            start = time.process_time()
            for image in images[: int(count)]:
                package.corrupt(image, corruption_name=name, severity=int(severity))
            print((time.process_time() - start) * 1000 / int(count), flush=True)
        except Exception as error:  # an old package may fail in any way in a new environment
            print(f"error: {type(error).__name__}: {error}".replace("\n", " "), flush=True)


def load() -> Any:
    """Import the package, with the removed names of its dependencies restored."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        sys.exit(f"{sys.executable} has no {PACKAGE}.")
    folder = Path(found.origin).parent
    if importlib.util.find_spec("pkg_resources") is None:
        resources: Any = types.ModuleType("pkg_resources")
        resources.resource_filename = lambda _, name: str(folder / name)
        sys.modules["pkg_resources"] = resources
    if "float_" not in dir(np):
        vars(np)["float_"] = np.float64
    if importlib.util.find_spec("scipy.ndimage.interpolation") is None:
        sys.modules["scipy.ndimage.interpolation"] = scipy.ndimage
    gaussian = skimage.filters.gaussian
    if "multichannel" not in inspect.signature(gaussian).parameters:

        def with_channels(image: Any, *args: Any, multichannel: bool = False, **more: Any) -> Any:
            return gaussian(image, *args, channel_axis=-1 if multichannel else None, **more)

        skimage.filters.gaussian = with_channels
    return importlib.import_module(PACKAGE)


if __name__ == "__main__":
    main()
