"""``lpclip schema``: the JSON schema of the configuration, with the kinds of plugins."""

import argparse
from pathlib import Path

from lpclip.utils.printing import show_data


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "configuration",
        type=Path,
        nargs="?",
        metavar="FILE",
        help="a configuration: the kinds of the plugins that it names are in the schema, too",
    )


def _run(options: argparse.Namespace) -> None:
    import yaml

    from lpclip.config.json_schema import text
    from lpclip.config.plugins import use_plugins
    from lpclip.config.yaml_text import check_files
    from lpclip.errors import LpclipError

    path: Path | None = options.configuration
    if path is not None:
        check_files([path])
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(given, dict):
            raise LpclipError(f"{path} is no configuration, which maps names to values.")
        use_plugins(given, [path])
    show_data(text(plugins=True))


# What ``lpclip.cli.tools.Tool`` is made of.
TOOL = (
    "print the JSON schema of the configuration, with the kinds of plugins",
    _add_options,
    _run,
    """
examples:
  lpclip schema > config.schema.json
  lpclip schema config.yaml > config.schema.json

Every key of a configuration with its description, default and bounds, for people and for editors:
with the line
  # yaml-language-server: $schema=config.schema.json
at the top, many of them complete and check a configuration as it is written. Kinds that installed
packages add are in it, and those of the files that the configuration names under plugins; these
files are run.
""",
)
