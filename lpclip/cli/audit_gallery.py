"""The images of an audit as one page to label in a browser, which saves the filled CSV file."""

from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from markupsafe import Markup

from lpclip.cli.audit import COLUMNS, Audit, first_rows
from lpclip.data.registry import has_images, open_source
from lpclip.errors import LpclipError
from lpclip.reporting.page.assets import HEAD, style
from lpclip.reporting.page.pictures import picture
from lpclip.storage.hdf5 import read_provenance
from lpclip.storage.untrusted import check_untrusted
from lpclip.utils.atomic import atomic_path
from lpclip.utils.templates import templates
from lpclip.utils.writable import check_output_file

_TEMPLATES = Path(__file__).parent / "templates"
_SIDE = 320  # pixels of a picture at most


def write_gallery(audit: Audit, output: Path, *, samples: Path | None, n: int) -> int:
    """Write the first n images of the list as an HTML page; return their number.

    The page needs no network. It shows the two classes of an image in alphabetical order, and not
    which of them is zero-shot's, so that nobody favours one.

    Args:
        audit: the images.
        output: the page, ``.html``.
        samples: index of the images; only its record of the image source is read, no label.
        n: number of images, at least 1.

    Raises:
        LpclipError: no index; a dataset without images; an image that cannot be read; an output
            that cannot be written or is not called .html.
    """
    if output.suffix.lower() not in (".html", ".htm"):
        raise LpclipError(f"{output} does not end in .html.")
    check_output_file(output)
    if samples is None:
        raise LpclipError(
            "--gallery needs --samples, the index of the images (cache/data/…/samples.h5), which "
            "records where they are."
        )
    check_untrusted(samples)
    source = dict(read_provenance(samples, kind="samples").json("source"))
    if not has_images(source):
        raise LpclipError(
            f"{samples} lists precomputed features, no images. Label in the CSV file of --output."
        )
    opened = open_source(source.pop("kind"), source)
    rows = [
        {
            **row,
            "audit": audit.made_from,
            "picture": picture(opened.read(row["path"]), side=_SIDE),
            "choices": [*sorted({row["zero_shot"], row["head"]}), audit.neither],
        }
        for row in first_rows(audit, n)
    ]
    environment = templates(_TEMPLATES, HEAD.parent, html=True)
    script = (_TEMPLATES / "audit.js").read_text(encoding="utf-8")
    text = environment.get_template("audit.html").render(
        method=audit.method,
        rows=rows,
        columns=COLUMNS,
        neither=audit.neither,
        of=len(audit.rows),
        file=f"{output.stem}.csv",
        css=Markup(style()),
        script=Markup(script),
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
    )
    with atomic_path(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return len(rows)
