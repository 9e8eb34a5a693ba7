"""The explorer in Chromium without a GPU: size, time to the first map, time of a frame.

    python benchmarks/speed/explorer.py --images 20000

Makes sets of photographs' patches with features that are noise, and six methods of up to five
rounds; opens the page, and zooms and points 60 times each. Writes ``explorer.csv`` to
``results/``. Needs ``chromium``.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from default_run import REPOSITORY
from measure import machine, write
from PIL import Image
from sklearn.datasets import load_sample_images

from lpclip.data.index import index_samples
from lpclip.data.thumbnails import thumbnails
from lpclip.evaluation.layout import layout
from lpclip.methods.train import train_probe
from lpclip.reporting.explorer.stage import explorer
from lpclip.storage.features import write_features
from lpclip.storage.probes import read_probes, write_probes
from lpclip.storage.samples import fingerprint, read_samples
from lpclip.storage.text import write_text

sys.path.insert(0, str(REPOSITORY))  # the tests drive the same browser

from tests.helpers.browser import OPTIONS, WEBGL, browser

DIM, CLASSES, ROUNDS, METHODS = 512, 100, 5, 6
MODEL = {"model": "noise", "weights": "0"}
READY = "document.documentElement.dataset.ready || ''"
# An event at every frame, and the times between frames.
FRAMES = """(() => {{ window.frames = null; const times = [];
  const canvas = document.getElementById('canvas'),
  box = canvas.getBoundingClientRect(); let n = 0;
  const step = now => {{ times.push(now); if (n++ < 60) {{ {event}; requestAnimationFrame(step); }}
    else window.frames = times.slice(1).map((time, k) => time - times[k]).sort((a, b) => a - b); }};
  requestAnimationFrame(step); }})()"""
EVENTS = {
    "zoom": "canvas.dispatchEvent(new WheelEvent('wheel', {deltaY: n % 20 < 10 ? -40 : 40,"
    " clientX: box.x + box.width / 2, clientY: box.y + box.height / 2, bubbles: true}))",
    "point": "canvas.dispatchEvent(new MouseEvent('mousemove', {clientX: box.x + box.width *"
    " (.2 + .01 * n), clientY: box.y + box.height * (.3 + .005 * n), bubbles: true}))",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--images", type=int, default=20_000)
    n = parser.parse_args().images
    with tempfile.TemporaryDirectory() as work:
        page = Path(work, "explorer.html")
        seconds = make(Path(work), page, n)
        found = {"images": n, "megabytes": page.stat().st_size / 1e6, **seconds, **opened(page)}
    print(json.dumps(found, indent=1))
    write([{**found, "machine": machine()}], "explorer")


def make(folder: Path, page: Path, n: int) -> dict[str, float]:
    """Write all files and the page; return the seconds of its stages."""
    rng = np.random.default_rng(0)
    names = [f"class {number}" for number in range(CLASSES)]
    centres = rng.standard_normal((CLASSES, DIM)).astype(np.float32)
    provenance: dict[str, Any] = {**MODEL, "scale": 100.0, "bias": 0.0}
    write_text(folder / "text.h5", features=centres, class_names=names, provenance=provenance)
    sets = ("pool", "test")
    for name in sets:
        write_set(folder, name, n // 2, centres, rng)
    started = time.perf_counter()
    caches = {"adapt": folder / "pool.h5", "test": folder / "test.h5"}
    layout(text=folder / "text.h5", **caches, output=folder / "l.h5", benchmark="b", points=n)
    seconds = {"layout_s": time.perf_counter() - started}
    probes = write_methods(folder, rng)
    started = time.perf_counter()
    explorer(
        layouts=[folder / "l.h5"],
        probes=probes,
        features=list(caches.values()),
        thumbnails=[folder / f"{name}_thumbnails.h5" for name in sets],
        output=page,
        points=n,
    )
    return {**seconds, "explorer_s": time.perf_counter() - started}


def write_set(folder: Path, name: str, n: int, centres: Any, rng: np.random.Generator) -> None:
    photos = [Image.fromarray(one) for one in load_sample_images().images]
    images = np.empty((n, 64, 64, 3), np.uint8)
    for number, image in enumerate(images):
        photo = photos[number % len(photos)]
        side = int(rng.integers(64, 300))
        left, top = (int(rng.integers(0, size - side)) for size in photo.size)
        image[:] = np.asarray(photo.resize((64, 64), box=(left, top, left + side, top + side)))
    np.save(folder / f"{name}.npy", images)
    source = {"kind": "arrays", "path": str(folder / f"{name}.npy")}
    samples = folder / f"{name}_samples.h5"
    index_samples(output=samples, dataset=name, source=source)
    rows = read_samples(samples, labels=False)
    values = centres[rng.integers(CLASSES, size=n)] / 4 + rng.standard_normal((n, DIM))
    about = {"dataset": name, "index": fingerprint(rows), "views": json.dumps({"clean": {}})}
    write_features(
        folder / f"{name}.h5",
        samples=rows,
        versions={"clean": 0},
        parts=[values.astype(np.float16)[None]],
        provenance={**MODEL, **about},
    )
    thumbnails(samples=samples, output=folder / f"{name}_thumbnails.h5", source=source, points=n)


def write_methods(folder: Path, rng: np.random.Generator) -> list[Path]:
    paths = [folder / f"{number}.h5" for number in range(METHODS)]
    train_probe(
        text=folder / "text.h5", output=paths[0], benchmark="b", method="zero_shot",
        kind="zero_shot", seeds=(0,), settings={},
    )  # fmt: skip
    heads, provenance = read_probes(paths[0])
    own = set(vars(heads)) | {"predicts"}
    kept = {key: value for key, value in provenance.items() if key not in own}
    rounds = [heads.rounds.assign(round=number) for number in range(ROUNDS + 1)]
    for path in paths[1:]:
        weight = np.repeat(heads.weight, ROUNDS + 1, axis=0)
        weight[1:] += rng.normal(scale=0.3, size=weight[1:].shape)
        learned = replace(
            heads,
            weight=weight,
            bias=np.repeat(heads.bias, ROUNDS + 1, axis=0),
            rounds=pd.concat(rounds, ignore_index=True),
        )
        names = {"method": f"method {path.stem}", "method_kind": "self_training"}
        write_probes(path, learned, {**kept, **names})
    return paths


def opened(page: Path) -> dict[str, float]:
    """Return milliseconds until the map is there, and of frames."""
    options = (*(one for one in OPTIONS if one != "--disable-gpu"), *WEBGL)
    with browser(page.parent / "profile", options=options) as tab:
        tab.look(width=1400)
        tab.open(page.as_uri())
        found = {"first_draw_ms": float(tab.wait(READY))}
        for name, event in EVENTS.items():
            tab.evaluate(FRAMES.format(event=event))
            frames = tab.wait("window.frames")
            found[f"{name}_median_ms"] = frames[len(frames) // 2]
            found[f"{name}_95_ms"] = frames[int(len(frames) * 0.95)]
    return found


if __name__ == "__main__":
    main()
