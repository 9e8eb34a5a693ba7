"""Jobs of a run: what each receives, and whether its output was made from something else."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lpclip.config.checked import Checked
from lpclip.config.files import Wildcards
from lpclip.config.stages import STAGES
from lpclip.data.image_sizes import changed_image
from lpclip.errors import LpclipError
from lpclip.storage.made_from import Known, made_from_something_else
from lpclip.storage.shards import is_lost


class Jobs:
    """The jobs of one configuration."""

    def __init__(self, config: Checked) -> None:
        self.config = config
        self._settings: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._known = Known()

    def settings(self, rule: str, wildcards: Wildcards) -> dict[str, Any]:
        """Return what a job receives, which is made once; a shard gets what its cache does."""
        if rule == "embed_shard":
            rule = "embed_images"
            wildcards = {name: wildcards[name] for name in ("model", "dataset", "views")}
        key = (rule, *sorted(wildcards.items()))
        if key not in self._settings:
            self._settings[key] = STAGES[rule](self.config, wildcards)
        return self._settings[key]

    def param(self, rule: str, wildcards: Wildcards) -> str:
        """Return the same as the JSON text that the command takes."""
        return json.dumps(self.settings(rule, wildcards), sort_keys=True)

    def change_of(
        self, rule: str, wildcards: Wildcards, path: Path, siblings: Sequence[Path]
    ) -> str | None:
        """Return what an output was made from that is different now, in words; None for nothing.

        Snakemake compares with its own notes in .snakemake, which are lost where hidden files are
        not copied, and do not cover another project that writes in the same cache. So what the
        output itself holds is compared as well. One that cannot be read is left to the job that
        reads it. ``path`` is the output with the record of what it was made from in it or next to
        it, ``siblings`` other HDF5 files that the job writes.
        """
        try:
            change = made_from_something_else(
                path, self.settings(rule, wildcards), siblings=siblings, known=self._known
            )
            if rule == "embed_shard" and change is None and is_lost(path):
                return "rows of a cache that was not finished and is gone"
            if rule == "index_samples" and change is None:
                image = changed_image(path, self.config.sources[wildcards["dataset"]])
                return image and f"other images: {image}"
        except LpclipError:
            return None
        return change
