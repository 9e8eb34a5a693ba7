"""Parts of what stages receive: their code, and what tells files and models of the user apart."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from lpclip.config.checked import Checked, plain
from lpclip.config.files import Wildcards
from lpclip.data.remote import mark_of
from lpclip.models.spec import files_hash, local_files
from lpclip.storage.marks import marks_at, marks_of
from lpclip.utils.code_hash import code_hash
from lpclip.utils.plugins import files_of

Given: TypeAlias = dict[str, Any]
_MARKS = Path(".snakemake/lpclip_marks.json")


def code_and_plugins(*modules: str) -> Given:
    """Return the hash of code that may be a plugin's, and its files, which the command loads."""
    found = {"plugins": paths} if (paths := files_of(modules)) else {}
    return {**found, "code": code_hash(*modules)}


def with_scores(config: Checked, module: str) -> Given:
    """Return the scores of plugins, if there are any, and the hash of a stage that uses them."""
    found = {"scores": plain(config.scores)} if config.scores else {}
    return {**found, **code_and_plugins(module, *(score.code for score in config.scores.values()))}


def marks(paths: Iterable[str], addresses: Sequence[str] = ()) -> Given:
    """Return marks of files of the user, who may replace them by older ones."""
    found = marks_of(map(Path, paths), known=_MARKS) | marks_at(addresses, mark_of, known=_MARKS)
    return {"files": found} if found else {}


def model_of(config: Checked, wildcards: Wildcards) -> Given:
    """Return what a stage receives of its model: where it runs changes no result."""
    model = plain(config.models[wildcards["model"]])
    return {key: value for key, value in model.items() if key != "device"}


def checkpoint(config: Checked, wildcards: Wildcards) -> Given:
    """Return the hash of a model's files: one that is replaced may be older than the caches."""
    model = config.models[wildcards["model"]]
    found = local_files(model.architecture, model.pretrained)
    return {"checkpoint": files_hash(found)} if found else {}


def place_of_features(source: Mapping[str, Any]) -> Given:
    """Return where features are; what copies them does not receive where labels are."""
    return {key: source[key] for key in ("path", "key") if key in source}


@cache
def versions() -> dict[str, str]:
    """Return the versions of the libraries on which features depend."""
    return {name: version(name) for name in ("torch", "torchvision", "open_clip_torch", "pillow")}
