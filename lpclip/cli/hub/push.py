"""Share a probe on the Hugging Face hub, with its provenance, the guard's evidence and a card."""

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from lpclip.cli.export import about_head, head_json, safetensors_head
from lpclip.cli.hub.card import card, missing_reports
from lpclip.cli.hub.errors import hub_errors
from lpclip.cli.hub.folder import FILES, refuse_other_files, write_files
from lpclip.cli.hub.provenance import shared_provenance
from lpclip.errors import LpclipError, listed
from lpclip.storage.file_kinds import type_of
from lpclip.storage.probe import load_probe
from lpclip.storage.probes import place, read_probes
from lpclip.storage.shared_probe import FILE, shared_probe
from lpclip.storage.untrusted import check_untrusted
from lpclip.utils.writable import check_output_folder


def push(
    *,
    probes: Path,
    to: str | None = None,
    public: bool = False,
    output: Path | None = None,
    results: Path | None = None,
    license: str | None = None,
    round: int = -1,
    seed: int | None = None,
) -> str:
    """Write the files of a shared probe, and upload them where ``to`` is given.

    Args:
        probes: a ``probes.h5``.
        to: repository on the hub, ``owner/name``; None uploads nothing.
        public: whether a repository that is created is public.
        output: folder for the files; None for a temporary one.
        results: folder of the run's reports; None for the one that the probe is in.
        license: identifier of the licence for the card.
        round: counted from 0, the zero-shot head; -1 is the last.
        seed: of the probe; None for the first.

    Returns:
        Where the files are.

    Raises:
        LpclipError: neither ``to`` nor ``output``; no such probe; no access to the hub.
    """
    if to is None and output is None:
        raise LpclipError("Nothing to do: give --to OWNER/NAME, or --output FOLDER to look first.")
    with ExitStack() as stack:
        folder = output or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        check_output_folder(folder)
        refuse_other_files(folder)
        _write(probes, folder, results, license, round, seed, to or "OWNER/NAME")
        if to is None:
            return f"{folder}: nothing was uploaded; --to OWNER/NAME does."
        return _upload(folder, to, public)


def _write(
    probes: Path,
    folder: Path,
    results: Path | None,
    license: str | None,
    round: int,
    seed: int | None,
    repository: str,
) -> None:
    check_untrusted(probes)
    heads, provenance = read_probes(probes)
    round, seed_index = place(probes, heads, round=round, seed=seed)
    seed = heads.seeds[seed_index]
    shared = shared_provenance(provenance)
    if results is not None and results.is_file():
        raise LpclipError(f"{results} is {type_of(results)}. Name the folder of a run's reports.")
    if results is not None and (missing := missing_reports(results)):
        raise LpclipError(f"{results} lacks {listed(missing)}. Name the folder of a run's reports.")
    page = card(
        probes=heads,
        provenance=shared,
        round=round,
        seed=seed,
        results=results or _results_of(probes),
        repository=repository,
        license=license,
    )
    files = {
        FILE: shared_probe(heads, shared, round=round, seed_index=seed_index),
        "README.md": page.encode(),
    }
    if heads.guard is not None and round:
        files["guard.csv"] = heads.guard.to_csv(index=False, float_format="%.9g").encode()
    if heads.member_weight is None or round < heads.n_rounds - 1:
        # An ensemble, the mean of its members' probabilities, is no single head.
        probe = replace(load_probe(probes, round=round, seed=seed), provenance=shared)
        about = about_head(probe, round, seed, None)
        name, content = safetensors_head(probe, about)
        files[name] = content
        files["head.json"] = head_json(about)
    write_files(folder, files)


def _results_of(probes: Path) -> Path:
    """Return the folder of reports: ``results`` of ``results/model/benchmark/method/probes.h5``."""
    return probes.absolute().parents[min(3, len(probes.absolute().parents) - 1)]


def _upload(folder: Path, repository: str, public: bool) -> str:
    from huggingface_hub import HfApi

    api = HfApi(library_name="lpclip")
    with hub_errors(repository):
        api.create_repo(repository, private=not public, exist_ok=True)
        done = api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            allow_patterns=list(FILES),
            delete_patterns=list(FILES),  # those of an earlier commit that this probe lacks
            commit_message="A probe of lpclip",
        )
    return str(done.commit_url)
