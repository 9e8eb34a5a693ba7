"""What a new project needs to know, from the texts of options or of answers to questions."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lpclip.config.models import architectures
from lpclip.errors import LpclipError, did_you_mean
from lpclip.models import tiny
from lpclip.models.spec import EMBEDDED, FOLDER, HUB, is_checkpoint

NONE, FOLDERS, IMAGENET = "none", "folders", "imagenet"
DEFAULT_MODEL, DEFAULT_TEMPLATES = "ViT-B-32", "openai_imagenet"


class ModelChoice(NamedTuple):
    """A model by a short name: OpenAI's weights, trained on photographs of all kinds."""

    architecture: str
    pretrained: str
    gigabytes: float  # to download
    remark: str


MODELS = {
    "ViT-B-32": ModelChoice("ViT-B-32-quickgelu", "openai", 0.6, "the fastest"),
    "ViT-B-16": ModelChoice("ViT-B-16-quickgelu", "openai", 0.6, "more accurate, 4 times the time"),
    "ViT-L-14": ModelChoice("ViT-L-14-quickgelu", "openai", 1.7, "most accurate, 19 times"),
    "tiny": ModelChoice(
        tiny.ARCHITECTURE,
        EMBEDDED,
        0,
        "part of lpclip, to try it out: trained on digits and letters",
    ),
}


class Model(NamedTuple):
    """A model as the configuration names it."""

    name: str
    architecture: str
    pretrained: str  # "" for architectures that bring their weights
    gigabytes: float = 0  # of its weights, where known


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a project is made from; folders are absolute."""

    project: Path
    unlabelled: Path
    labelled: Path | None
    class_names: Sequence[str] | str  # names, or "imagenet"
    model: Model
    templates: Sequence[str] | str  # sentences, a file, or a set of open_clip's

    @property
    def unlabelled_source(self) -> dict[str, Any]:
        """The unlabelled images as a source, without labelled ones that are in one of its folders.

        Raises:
            LpclipError: the labelled images are deeper inside.
        """
        without = excluded(self.unlabelled, self.labelled)
        more = {"exclude": without} if without else {}
        return {"kind": "folder", "root": str(self.unlabelled), "labelled": False, **more}

    @property
    def labelled_source(self) -> dict[str, Any] | None:
        """The labelled images as a source, without unlabelled ones in one of its folders."""
        if self.labelled is None:
            return None
        without = excluded(self.labelled, self.unlabelled)
        more = {"exclude": without} if without else {}
        return {"kind": "folder", "root": str(self.labelled), **more}


def folder_of_images(text: str) -> Path:
    """Return an absolute folder; LpclipError if there is none."""
    path = Path(text).expanduser()
    if not text.strip() or not path.is_dir():
        raise LpclipError(f"The folder '{text}' does not exist. Give one with images.")
    return path.absolute()


def optional_folder(text: str) -> Path | None:
    """Return an absolute folder, or None for "none"; LpclipError if it does not exist."""
    return None if text.strip().lower() == NONE else folder_of_images(text)


def excluded(images: Path, others: Path | None) -> list[str]:
    """Return the names of folders to leave out of some images, since others are in them.

    >>> excluded(Path("photos"), Path("photos/test")), excluded(Path("a"), Path("b"))
    (['test'], [])

    Raises:
        LpclipError: the others are deeper inside.
    """
    if others is None or images not in others.parents:
        return []
    if others.parent != images:
        raise LpclipError(
            f"{others} is inside {images}, but not one of its folders, so that it cannot be left "
            "out. Move it, or give folders apart from each other."
        )
    return [others.name]


def class_names(text: str, folder: Path, exclude: Sequence[str] = ()) -> Sequence[str] | str:
    """Return class names.

    Args:
        text: names with commas between them, a text file with one name per line, ``imagenet``, or
            ``folders``.
        folder: whose folders have the names of classes.
        exclude: names of folders that are no classes.

    Raises:
        LpclipError: none of these, or fewer than two names.
    """
    if text == IMAGENET:
        return text
    if text == FOLDERS:
        names = _folder_names(folder, exclude)
        origin = f"the folders in {folder}"
    elif Path(text).expanduser().is_file():
        from lpclip.storage.text_tables import read_text

        names = read_text(Path(text).expanduser()).split("\n")
        origin = text
    elif "," in text:
        names = text.split(",")
        origin = f"'{text}'"
    else:
        raise LpclipError(
            f"'{text}' is no file. Give class names as a list, 'cat, dog, bicycle', as a text file "
            f"with one per line, as {FOLDERS}, for the names of folders, or as {IMAGENET}."
        )
    names = [name.strip() for name in names if name.strip()]
    if len(names) < 2:
        raise LpclipError(f"{origin}: {len(names)} class names found, at least two are needed.")
    return names


def _folder_names(folder: Path, exclude: Sequence[str]) -> list[str]:
    from lpclip.data.sources.folder import Source

    names = list(Source(root=str(folder), exclude=exclude).class_names or ())
    if all(re.fullmatch(r"n\d{8}", name) for name in names):
        raise LpclipError(
            f"The folders in {folder} are WordNet ids, which mean nothing to a text encoder. Give "
            f"class names as a list or a file, or as {IMAGENET} for its 1000 classes."
        )
    return [name.replace("_", " ") for name in names]


def model(text: str) -> Model:
    """Return a model by a short name, or by architecture and pretrained weights.

    >>> model("ViT-B-32")[:3], model("ViT-B-16:laion2b_s34b_b88k")[:3]
    (('ViT-B-32', 'ViT-B-32-quickgelu', 'openai'), ('ViT-B-16', 'ViT-B-16', 'laion2b_s34b_b88k'))

    Raises:
        LpclipError: neither of these, an architecture that open_clip does not have, or a file that
            does not exist.
    """
    text = text.strip()
    if text in MODELS:
        return Model(text, *MODELS[text][:3])
    if text.startswith((HUB, FOLDER)):
        if text.startswith(FOLDER):
            text = f"{FOLDER}{Path(text.removeprefix(FOLDER)).expanduser().absolute()}"
        return Model(_name(text.rpartition("/")[2]), text, "")
    architecture, _, pretrained = text.partition(":")
    if not pretrained:
        raise LpclipError(
            f"'{text}' is no short name of a model. "
            f"{did_you_mean(text, MODELS)} Any other as ARCHITECTURE:PRETRAINED, with a tag of "
            "open_clip or the path of a checkpoint; hf-hub:org/name; or local-dir:folder."
        )
    if architecture not in (known := architectures()):
        raise LpclipError(
            f"open_clip has no architecture '{architecture}'. {did_you_mean(architecture, known)}"
        )
    if is_checkpoint(pretrained):
        path = Path(pretrained).expanduser().absolute()
        if not path.is_file():
            raise LpclipError(f"The checkpoint '{pretrained}' does not exist.")
        pretrained = str(path)
    return Model(_name(architecture), architecture, pretrained)


def _name(text: str) -> str:
    """Return a name for paths and reports.

    >>> _name("my model (2)")
    'my-model-2'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._") or "model"


def templates(given: Sequence[str]) -> Sequence[str] | str:
    """Return templates: sentences, or the absolute path of a file or the name of a set."""
    if len(given) == 1 and "{" not in given[0]:
        path = Path(given[0]).expanduser()
        return str(path.absolute()) if path.is_file() else given[0]
    return list(given)
