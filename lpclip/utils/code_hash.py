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
    """Return the hash, 16 hexadecimal digits, of modules and of what they import in their packages.

    A module that is imported by its name as text is not found; name it as well.

    Raises:
        ModuleNotFoundError: a module does not exist.
    """
    files = {name: path for module in modules for name, path in _closure(module).items()}
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        digest.update(f"{name}\0{_normalised(path)}\0".encode())
    return digest.hexdigest()[:16]


@cache
def _closure(module: str) -> dict[str, Path]:
    package = module.partition(".")[0]
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(module)
    root = Path(spec.origin).parent.parent
    if _file_of(root, module) is None:
        raise ModuleNotFoundError(module)
    found: dict[str, Path] = {}
    pending = [module]
    while pending:
        name = pending.pop()
        path = _file_of(root, name)
        if path is None or name in found or name in WITHOUT_RESULT:
            continue
        found[name] = path
        pending.append(name.rpartition(".")[0])  # importing a.b.c runs a.b first
        pending.extend(_imports(path, name, package))
    return found


@cache
def _imports(path: Path, name: str, package: str) -> tuple[str, ...]:
    """Return names in ``package`` that the module imports, of modules and of functions."""
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
        names += (target for target in targets if target.split(".")[0] == package)
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
def _file_of(root: Path, module: str) -> Path | None:
    path = root.joinpath(*module.split("."))
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)
