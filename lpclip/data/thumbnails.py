"""The stage ``thumbnails``: small pictures of a dataset's images, many to a sheet."""

import io
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PIL import Image

from lpclip.data.base import Source, read_image
from lpclip.data.registry import open_source
from lpclip.errors import BadImageError
from lpclip.storage.hdf5 import read_provenance
from lpclip.storage.samples import read_samples
from lpclip.storage.thumbnails import COLUMNS, PER_SHEET, write_thumbnails
from lpclip.types import OutputFile
from lpclip.utils.host import cores
from lpclip.utils.thinning import order_of_keeping

log = logging.getLogger(__name__)

SIDE = 48  # pixels at most
_QUALITY = 80
_PAPER = (128, 128, 128)  # around pictures that are not square, and in place of unreadable ones


def thumbnails(
    *, samples: Path, output: OutputFile, source: Mapping[str, Any], points: int = 20_000
) -> None:
    """Write thumbnails of a dataset's images; labels are not read.

    Args:
        samples: index of the dataset.
        output: HDF5 file of sheets.
        source: ``kind`` and settings of the images.
        points: at most so many images; of a larger dataset a random sample, the same one as in
            the layouts of its benchmarks.
    """
    settings = dict(source)
    opened = open_source(settings.pop("kind"), settings)
    index = read_samples(samples, labels=False)
    kept = order_of_keeping(index["id"].tolist())[:points]
    paths = index["path"].iloc[kept].tolist()
    provenance = read_provenance(samples, kind="samples")
    given = os.environ.get("OMP_NUM_THREADS", "")  # by --threads, as for numerical libraries
    with ThreadPoolExecutor(int(given) if given.isdigit() else cores()) as pool:
        first = list(pool.map(lambda path: _small(opened, path, SIDE), paths[:PER_SHEET]))
        side = max((max(one.size) for one in first if one is not None), default=1)
        sheets = _sheets(opened, paths, side, pool)
        write_thumbnails(
            output,
            index["id"].iloc[kept].tolist(),
            sheets,
            side=side,
            provenance={key: provenance[key] for key in ("dataset", "index")},
        )
    log.info("%d thumbnails of %d pixels", len(kept), side)


def _sheets(
    source: Source, paths: Sequence[str], side: int, pool: ThreadPoolExecutor
) -> Iterator[bytes]:
    for start in range(0, len(paths), PER_SHEET):
        part = paths[start : start + PER_SHEET]
        rows = -(-len(part) // COLUMNS)
        sheet = Image.new("RGB", (COLUMNS * side, rows * side), _PAPER)
        for place, image in enumerate(pool.map(lambda path: _small(source, path, side), part)):
            if image is not None:
                left, top = (place % COLUMNS) * side, (place // COLUMNS) * side
                width, height = image.size
                sheet.paste(image, (left + (side - width) // 2, top + (side - height) // 2))
        buffer = io.BytesIO()
        sheet.save(buffer, format="WEBP", quality=_QUALITY, method=4)
        yield buffer.getvalue()


def _small(source: Source, path: str, side: int) -> Image.Image | None:
    """Return an image of at most so many pixels; None if it cannot be read."""
    try:
        image = read_image(source, path).convert("RGB")
    except BadImageError as error:
        log.warning("no thumbnail: %s", error)
        return None
    image.thumbnail((side, side))
    return image
