"""The files of a new project: ``config.yaml``, ``Snakefile`` and a profile of Snakemake."""

import contextlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from lpclip.cli.init.answers import Answers
from lpclip.config.packaged import workflow_folder
from lpclip.errors import LpclipError
from lpclip.models.spec import EMBEDDED
from lpclip.utils.atomic import atomic_path
from lpclip.utils.host import cores
from lpclip.utils.templates import templates

_TEMPLATES = Path(__file__).parents[1] / "templates"
BENCHMARK = "mine"
POOL, TEST = "pool", "test"
_PROFILE = "profiles/default/config.yaml"
_FILES = ("Snakefile", "config.yaml", _PROFILE)


def config_text(answers: Answers) -> str:
    """Return the text of ``config.yaml``: folders inside the project relative to it."""
    environment = templates(_TEMPLATES, html=False)  # it is YAML, and the filters quote
    environment.filters |= {"text": _text, "mapping": _mapping}
    n_cores = cores()
    labelled = answers.labelled_source
    return environment.get_template("project.yaml").render(
        cores=n_cores,
        threads=min(8, n_cores),
        model=answers.model._replace(
            architecture=_near(answers.model.architecture, answers.project),
            pretrained=_near(answers.model.pretrained, answers.project),
        ),
        tiny=answers.model.pretrained == EMBEDDED,
        unlabelled=_placed(answers.unlabelled_source, answers.project),
        labelled=labelled and _placed(labelled, answers.project),
        benchmark=BENCHMARK,
        class_names=answers.class_names,
        templates=_near(answers.templates, answers.project)
        if isinstance(answers.templates, str)
        else answers.templates,
    )


def check_place(answers: Answers) -> None:
    """Refuse a project that would overwrite files, or whose figures would become images.

    Raises:
        LpclipError: names what is there, or the folder of images.
    """
    for name in _FILES:
        if (answers.project / name).exists():
            raise LpclipError(
                f"{answers.project / name} exists. Give a new folder, or remove the file."
            )
    project = answers.project.resolve()
    for images in filter(None, (answers.unlabelled, answers.labelled)):
        folder = images.resolve()
        if project == folder or folder in project.parents:
            raise LpclipError(
                f"The project would be among the images in {images}, and its figures images of "
                "the next run. Give a folder elsewhere for the project."
            )


def write(answers: Answers, text: str) -> list[Path]:
    """Write the files of a project; return their paths."""
    contents = {
        "config.yaml": text,
        "Snakefile": (_TEMPLATES / "project.smk").read_text(encoding="utf-8"),
        _PROFILE: (workflow_folder() / _PROFILE).read_text(encoding="utf-8"),
    }
    written = []
    for name in _FILES:
        path = answers.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_text(contents[name], encoding="utf-8")
        written.append(path)
    return written


@contextlib.contextmanager
def inside(project: Path) -> Iterator[None]:
    """Work in a project's folder, where Snakemake will; remove it if it was made in vain."""
    missing = [one for one in (project, *project.parents) if not one.exists()]
    project.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.chdir(project):
            yield
    except BaseException:
        for folder in missing:
            with contextlib.suppress(OSError):  # it is not empty
                folder.rmdir()
        raise


def _near(text: str, project: Path) -> str:
    """Return a path inside the project relative to it; any other text as it is."""
    prefix, _, path = text.rpartition(":")
    if Path(path).is_absolute() and Path(path).is_relative_to(project):
        inside = Path(path).relative_to(project).as_posix()
        # A name alone could be that of a set or a tag.
        return f"{prefix}:{inside}" if prefix else f"./{inside}" if "/" not in inside else inside
    return text


def _placed(source: Mapping[str, Any], project: Path) -> dict[str, Any]:
    return {**source, "root": _near(source["root"], project)}


def _text(value: str) -> str:
    """Return a text in YAML: plain where that can be, else in quotes.

    >>> _text("ViT-B-32"), _text("cat"), _text("no"), _text("a {}: b")
    ('ViT-B-32', 'cat', "'no'", "'a {}: b'")
    """
    shown = yaml.safe_dump(value, allow_unicode=True, width=math.inf)
    return shown.removesuffix("\n").removesuffix("\n...")


def _mapping(value: Mapping[str, Any]) -> str:
    """Return a mapping in YAML on one line."""
    return yaml.safe_dump(
        dict(value), allow_unicode=True, width=math.inf, default_flow_style=True, sort_keys=False
    ).strip()
