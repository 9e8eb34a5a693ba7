"""Fetch a probe that somebody shared on the Hugging Face hub."""

import tempfile
from pathlib import Path

from lpclip.cli.hub.errors import hub_errors
from lpclip.cli.hub.folder import FILES, PROBES, refuse_other_files, write_files
from lpclip.cli.hub.provenance import shared_provenance
from lpclip.errors import LpclipError
from lpclip.storage.probes import write_probes
from lpclip.storage.shared_probe import FILE, read_shared_probe
from lpclip.utils.atomic import atomic_path
from lpclip.utils.writable import check_output_folder


def pull(*, repository: str, output: Path, revision: str = "main") -> list[Path]:
    """Fetch the files of a shared probe, and write them and ``probes.h5``.

    Args:
        repository: on the hub, ``owner/name``.
        output: folder, created if it is missing.
        revision: branch, tag or commit.

    Returns:
        The files.

    Raises:
        LpclipError: no such repository or revision; it holds no probe; the hub cannot be reached.
    """
    from huggingface_hub import snapshot_download

    check_output_folder(output)
    refuse_other_files(output)
    with tempfile.TemporaryDirectory() as folder:
        with hub_errors(repository):
            # Without the client's cache: the folder is the copy.
            snapshot_download(
                repository, revision=revision, local_dir=folder, allow_patterns=list(FILES)
            )
        found = [Path(folder, name) for name in FILES if Path(folder, name).is_file()]
        if Path(folder, FILE) not in found:
            raise LpclipError(
                f"{repository} at {revision} has no {FILE}: it is not a head that lpclip pushed."
            )
        probes, provenance = read_shared_probe(Path(folder, FILE))
        provenance = shared_provenance(provenance)  # and nothing else that somebody wrote there
        output.mkdir(parents=True, exist_ok=True)
        write_files(output, {path.name: path.read_bytes() for path in found})
        with atomic_path(output / PROBES) as temporary:
            about = {"pulled_from": f"{repository}@{revision}"}
            write_probes(temporary, probes, {**provenance, **about})
    return [output / PROBES, *(output / path.name for path in found)]
