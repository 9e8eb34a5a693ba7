"""Files from templates, by Jinja: one way to load them."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def templates(*folders: Path, html: bool) -> Environment:
    """Return the templates of folders; a name that is not given is an error.

    Args:
        folders: of the templates.
        html: whether everything that comes from outside is escaped for HTML.
    """
    return Environment(
        loader=FileSystemLoader(folders),
        autoescape=html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=not html,
    )
