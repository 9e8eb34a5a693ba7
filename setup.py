"""Put the workflow, which is at the top of the repository, into the wheel; see pyproject.toml.

``lpclip.config.packaged`` finds it in either place.
"""

import shutil
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


setup(cmdclass={"build_py": BuildWithWorkflow})
