"""Where the workflow is: in the wheel a part of the package, in a checkout at its top."""

from pathlib import Path

from lpclip.errors import LpclipError

_PACKAGE = Path(__file__).parents[1]


def workflow_folder() -> Path:
    """Return the folder that holds ``Snakefile``, ``workflow/``, ``profiles/`` and ``configs/``.

    Raises:
        LpclipError: there is none, since the package was copied without it.
    """
    for folder in (_PACKAGE / "packaged", _PACKAGE.parent):
        if (folder / "Snakefile").is_file() and (folder / "workflow/rules").is_dir():
            return folder
    raise LpclipError(
        f"lpclip in {_PACKAGE} has no workflow with it. Install lpclip from its wheel or its "
        "repository."
    )


def snakefile() -> str:
    """Return the path of the workflow, for ``module`` in a Snakefile of a project."""
    return str(workflow_folder() / "Snakefile")
