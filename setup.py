"""Put the workflow, which is at the top of the repository, into the wheel; see pyproject.toml.

``lpclip.config.packaged`` finds it in either place. The variable LPCLIP_REPOSITORY, the address of
the repository on a forge, makes the links of README work on a package index, too.
"""

import os
import re
import shutil
import tomllib
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

WORKFLOW = ("Snakefile", "config.yaml", "environment.yml", "configs", "profiles", "workflow")
PLACE = "lpclip/packaged"


class BuildWithWorkflow(build_py):
    """Builds the package with a copy of the workflow; an editable installation needs none."""

    def run(self) -> None:
        """Build, then copy."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib, PLACE)
        shutil.rmtree(target, ignore_errors=True)  # of a build before
        target.mkdir(parents=True)
        for path in map(Path, WORKFLOW):
            if path.is_dir():
                shutil.copytree(path, target / path)
            else:
                shutil.copy(path, target)


def readme(address: str | None) -> str:
    """Return README, with links to files of this version at the address, if there is one."""
    text = Path("README.md").read_text(encoding="utf-8")
    if not address:
        return text
    version = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"][
        "version"
    ]

    def pointed(match: re.Match[str]) -> str:
        kind = "raw" if match[1] == "!" else "blob"
        return f"{match[1]}[{match[2]}]({address.rstrip('/')}/{kind}/v{version}/{match[3]})"

    return re.sub(r"(!?)\[([^]]*)\]\((?!https?:|#)([^)]+)\)", pointed, text)


REPOSITORY = os.environ.get("LPCLIP_REPOSITORY")
setup(
    cmdclass={"build_py": BuildWithWorkflow},
    long_description=readme(REPOSITORY),
    long_description_content_type="text/markdown",
    project_urls={"Repository": REPOSITORY} if REPOSITORY else {},
)
