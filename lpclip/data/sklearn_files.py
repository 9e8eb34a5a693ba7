"""Files of scikit-learn's data sets."""

from importlib.util import find_spec
from pathlib import Path

from lpclip.errors import LpclipError


def packaged(name: str) -> Path:
    """Return a file of scikit-learn's data sets, without its import, which takes seconds.

    Raises:
        LpclipError: scikit-learn does not ship the file.
    """
    spec = find_spec("sklearn")
    for folder in spec.submodule_search_locations or () if spec else ():
        path = Path(folder) / "datasets" / name
        if path.is_file():
            return path
    raise LpclipError(f"scikit-learn's data file datasets/{name} is missing. Install scikit-learn.")
