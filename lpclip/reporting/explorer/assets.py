"""What the explorer consists of besides its data: template, style, scripts, and the library."""

from functools import cache
from hashlib import sha256
from pathlib import Path

from lpclip.reporting.page.assets import HEAD

_FOLDER = Path(__file__).parent
TEMPLATES = _FOLDER / "templates"
LIBRARY = _FOLDER / "vendor/regl-scatterplot.min.js"
# In the order in which they are run.
_SCRIPTS = ("data.js", "colours.js", "plot.js", "table.js", "details.js", "main.js")


def style() -> str:
    """Return the style sheet."""
    return (_FOLDER / "explorer.css").read_text(encoding="utf-8")


def library() -> str:
    """Return the library that draws points, a script."""
    return LIBRARY.read_text(encoding="utf-8")


def scripts() -> str:
    """Return the scripts of the page as one, in which their names are private."""
    texts = [(_FOLDER / "scripts" / name).read_text(encoding="utf-8") for name in _SCRIPTS]
    return "(() => {\n'use strict';\n" + "\n".join(texts) + "})();\n"


@cache
def explorer_hash() -> str:
    """Return the hash, 16 hexadecimal digits, of all of it."""
    parts = [style(), library(), scripts()]
    paths = (HEAD, *sorted(TEMPLATES.glob("*.html")))
    parts += [path.read_text(encoding="utf-8") for path in paths]
    return sha256("\0".join(parts).encode()).hexdigest()[:16]
