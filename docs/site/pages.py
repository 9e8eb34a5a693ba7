"""What mkdocs adds to the Markdown of docs/: pages kept elsewhere, generated ones, links, formulas.

Pages of the repository (README and its like) are part of the site. A link to any other file leads
to the repository, whose address the variable LPCLIP_REPOSITORY holds; without one it is plain text.
"""

import contextlib
import io
import posixpath
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import lpclip
from lpclip.cli import main
from lpclip.cli.stages import STAGES
from lpclip.cli.tools import TOOLS

ROOT = Path(__file__).parents[2]

# Pages of the site that are elsewhere in the repository.
ELSEWHERE = {
    "index.md": "README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
    "conduct.md": "CODE_OF_CONDUCT.md",
    "benchmarks.md": "benchmarks/README.md",
}
LINK = re.compile(r"(\[(?:[^\[\]]|\[[^\[\]]*\])*\])\(([^()\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    generated = {"commands.md": commands(), "api.md": api()}
    for name, origin in ELSEWHERE.items():
        generated[name] = (ROOT / origin).read_text(encoding="utf-8")
    for name, text in generated.items():
        files.append(File.generated(config, name, content=text))
    for path in sorted((ROOT / "benchmarks/results").glob("*.png")):
        origin = f"benchmarks/results/{path.name}"
        files.append(File.generated(config, origin, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links at the pages of the site, or at the repository."""
    name = page.file.src_uri
    folder = posixpath.dirname(ELSEWHERE.get(name, f"docs/{name}"))
    pages = {origin: place for place, origin in ELSEWHERE.items()}

    def pointed(match: re.Match[str]) -> str:
        text, address = match.groups()
        if re.match(r"\w+:|#", address):
            return match[0]
        path, _, anchor = address.partition("#")
        path = posixpath.normpath(posixpath.join(folder, path))
        place = pages.get(path, path.removeprefix("docs/"))
        if place in files.src_uris:
            relative = posixpath.relpath(place, posixpath.dirname(name) or ".")
            return f"{text}({relative}{'#' + anchor if anchor else ''})"
        of_forge = path.startswith("../../")  # a page of the forge, not a file
        if not of_forge and not (ROOT / path).exists():
            raise PluginError(f"{name}: {address} is not a file of the repository")
        if not config.repo_url:
            return text[1:-1]
        path = path.removeprefix("../../") if of_forge else f"blob/HEAD/{path}"
        return f"{text}({config.repo_url.rstrip('/')}/{path})"

    blocks = re.split(r"(^```.*?^```)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(one if one.startswith("```") else LINK.sub(pointed, one) for one in blocks)


def on_page_content(html: str, **_: Any) -> str:
    """Write formulas as MathML, which browsers show without a script."""
    found = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
    return found.sub(lambda match: convert(match[1].replace("&lt;", "<")), html)


def commands() -> str:
    """Return a page with the help of every command."""
    lines = ["# The command lpclip", "", "What `--help` prints, for every command.", ""]
    sections = {"Tools": TOOLS, "Stages": STAGES}
    lines += ["```text", help_of(), "```", ""]
    for title, names in sections.items():
        lines += [f"## {title}", ""]
        for name in names:
            lines += [f"### lpclip {name}", "", "```text", help_of(name), "```", ""]
    return "\n".join(lines)


def help_of(*command: str) -> str:
    """Return what a command prints with ``--help``."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main([*command, "--help"])
    return printed.getvalue().rstrip()


def api() -> str:
    """Return a page with the signature and the docstring of every public name."""
    lines = ["# Signatures", "", "All that is public; [from Python](python.md) explains it.", ""]
    for name in lpclip.__all__:
        lines += [f"::: {getattr(lpclip, name).__module__}.{name}", ""]
    return "\n".join(lines)
