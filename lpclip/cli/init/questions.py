"""Questions of ``lpclip init`` in a terminal, each with a default where there is a sensible one."""

import argparse
import sys
from collections.abc import Callable
from typing import TypeVar

from lpclip.cli.init import answers
from lpclip.cli.init.answers import DEFAULT_MODEL, FOLDERS, MODELS, NONE, Answers
from lpclip.errors import LpclipError
from lpclip.utils.printing import show

T = TypeVar("T")


def answers_of(options: argparse.Namespace) -> Answers:
    """Return the answers that are given as options, and ask for the rest.

    Raises:
        LpclipError: an option that is wrong, or missing where nobody can be asked.
    """
    interactive = sys.stdin.isatty()
    if not interactive:
        _check_complete(options)
    unlabelled = _answer(
        options.unlabelled, "Folder of unlabelled images: ", "", answers.folder_of_images
    )
    labelled = _answer(
        options.labelled,
        f"Folder of labelled images, one folder per class, to measure accuracy [{NONE}]: ",
        NONE,
        answers.optional_folder,
    )
    default = "" if labelled is None else FOLDERS
    without = [] if labelled is None else answers.excluded(labelled, unlabelled)
    given = options.classes if interactive or options.classes else default
    shown = f", or {FOLDERS}" + (f" [{FOLDERS}]" if default else "")
    names = _answer(
        given,
        f"Class names: a list with commas, a file with one per line{shown}: ",
        default,
        lambda text: answers.class_names(text, labelled or unlabelled, without),
    )
    if interactive and options.model is None:
        show("Models:")
        for name, one in MODELS.items():
            size = f"{one.gigabytes} GB to download, once" if one.gigabytes else "no download"
            show(f"  {name:10}{one.remark}; {size}")
    given = options.model if interactive else options.model or DEFAULT_MODEL
    return Answers(
        project=options.project.absolute(),
        unlabelled=unlabelled,
        labelled=labelled,
        class_names=names,
        model=_answer(given, f"Model [{DEFAULT_MODEL}]: ", DEFAULT_MODEL, answers.model),
        templates=answers.templates(options.templates),
    )


def _check_complete(options: argparse.Namespace) -> None:
    missing = [
        text
        for text, is_missing in (
            ("--unlabelled FOLDER", options.unlabelled is None),
            (f"--labelled FOLDER (or {NONE})", options.labelled is None),
            (
                f"--classes NAMES (a list, a file or {FOLDERS})",
                options.classes is None and options.labelled in (None, NONE),
            ),
        )
        if is_missing
    ]
    if missing:
        raise LpclipError(
            f"lpclip init asks in a terminal only. Give {', '.join(missing)}: for example "
            f"lpclip init {options.project} --unlabelled photos --labelled {NONE} "
            '--classes "cat, dog, bicycle"'
        )


def _answer(given: str | None, question: str, default: str, parse: Callable[[str], T]) -> T:
    """Return the answer that an option gives, or ask until one can be used."""
    if given is not None:
        return parse(given)
    while True:
        try:
            text = input(question).strip() or default
        except EOFError:
            raise LpclipError("The input has ended; nothing was written.") from None
        try:
            return parse(text)
        except LpclipError as error:
            show(f"  {error}")
