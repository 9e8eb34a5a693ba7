"""Fingerprint of the code that a stage runs: Snakemake re-runs what it changes, and nothing else.

The syntax trees of a module and of everything that it imports from its own package are hashed,
without comments, docstrings, descriptions and formatting. Nothing is imported and nothing is run.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

OWN = "lpclip"
# They shape no result: the public names, the texts of errors, the bar that shows progress, and what
# chooses one of several GPUs.
WITHOUT_RESULT = (
    "lpclip",
    "lpclip.errors",
    "lpclip.utils.device",
    "lpclip.utils.gpu_lease",
    "lpclip.utils.nvml",
    "lpclip.utils.progress",
)
# Text that these arguments of these calls hold describes a result and changes none.
DESCRIBED = ("Column", "Table", "fraction", "renamed")
DESCRIPTIONS = ("caption", "description", "row", "unit")


@cache
def code_hash(*modules: str) -> str:
    """Return the hash, 16 hexadecimal digits, of modules and of what they import.

    That is followed into their own packages and into lpclip. A module that is imported by its name
    as text is not found; name it as well. A text that ends in ``.py`` is the path of a file.

    Raises:
        ModuleNotFoundError: a module does not exist, or not as Python text.
    """
    files = {name: path for module in modules for name, path in _closure(module).items()}
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        digest.update(f"{name}\0{_normalised(path)}\0".encode())
    return digest.hexdigest()[:16]


@cache
def _closure(module: str) -> dict[str, Path]:
    if module.endswith(".py"):
        path = Path(module)
        if not path.is_file():
            raise ModuleNotFoundError(module)
        found = {f"file {path.name}": path}
        pending = list(_imports(path, path.stem, ""))
    else:
        if _file_of(module) is None:
            raise ModuleNotFoundError(module)
        found, pending = {}, [module]
    package = module.partition(".")[0]
    while pending:
        name = pending.pop()
        path_of_name = _file_of(name)
        if path_of_name is None or name in found or name in WITHOUT_RESULT:
            continue
        found[name] = path_of_name
        pending.append(name.rpartition(".")[0])  # importing a.b.c runs a.b first
        pending.extend(_imports(path_of_name, name, package))
    return found


@cache
def _imports(path: Path, name: str, package: str) -> tuple[str, ...]:
    """Return names in ``package`` and lpclip that the module imports, modules and functions."""
    names = list[str]()
    inside = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in _statements(_parsed(path)):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = inside.split(".")[: len(inside.split(".")) - node.level + 1]
                base = ".".join([*above, *([node.module] if node.module else [])])
            targets = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        names += (target for target in targets if target.split(".")[0] in (package, OWN))
    return tuple(names)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all statements inside, however deep; expressions, most of a tree, are passed over."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield child
            yield from _statements(child)


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())


@cache
def _normalised(path: Path) -> str:
    """Return the syntax tree as text, without the texts that describe and change no result."""
    tree = _parsed(path)
    for node in (tree, *_statements(tree)):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [one for one in body if not _is_text(one)]  # type: ignore[attr-defined]
    if any(f"{name}(".encode() in path.read_bytes() for name in DESCRIBED):
        _drop_descriptions(tree)
    return ast.dump(tree)


def _drop_descriptions(tree: ast.AST) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in DESCRIBED:
                node.keywords = [
                    one
                    for one in node.keywords
                    if not (one.arg in DESCRIPTIONS and isinstance(one.value, ast.Constant))
                ]


def _is_text(node: ast.AST) -> bool:
    """Return whether a statement is a docstring, of a module, class, function or setting."""
    return isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str)


@cache
def _file_of(module: str) -> Path | None:
    for folder in _folders(module.partition(".")[0]):
        path = folder.joinpath(*module.split("."))
        for candidate in (path / "__init__.py", path.with_suffix(".py")):
            if candidate.is_file():
                return candidate
    return None


@cache
def _folders(package: str) -> tuple[Path, ...]:
    """Return the folders that a package, or a module without one, is in."""
    spec = find_spec(package) if package else None
    if spec is None:
        return ()
    if spec.submodule_search_locations is not None:
        return tuple(Path(one).parent for one in spec.submodule_search_locations)
    return () if spec.origin is None else (Path(spec.origin).parent,)
