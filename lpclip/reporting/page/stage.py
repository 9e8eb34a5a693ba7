"""The stage ``page``: reads the reports, the probes' provenance and the pictures; writes HTML."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lpclip.reporting import pool
from lpclip.reporting.guard import in_words_by_pair
from lpclip.reporting.methods import methods_of
from lpclip.reporting.page import run
from lpclip.reporting.page.gallery import read_pictures
from lpclip.reporting.page.render import render
from lpclip.reporting.page.tables import read_tables
from lpclip.types import OutputFile
from lpclip.utils.atomic import atomic_path

log = logging.getLogger(__name__)


def page(
    *,
    probes: Sequence[Path],
    tables: Sequence[Path],
    pictures: Sequence[Path],
    output: OutputFile,
    logs: Path | None = None,
    configuration: Mapping[str, Any] | None = None,
    memory: bool = True,
) -> None:
    """Write the results as one HTML file.

    Args:
        probes: the probes of every method, in the order in which the page lists them.
        tables: reports (``report.csv``, ``robustness.csv``, …), found by their names; what is not
            given is not shown.
        pictures: files of ``lpclip pictures``; may be none.
        output: the page.
        logs: folder of logs, whose benchmark files hold the time of every stage.
        configuration: shown as it is.
        memory: whether the benchmark files hold the memory of every stage as well.
    """
    methods = methods_of(probes)
    guard_csv = next((path for path in tables if path.name == "guard.csv"), None)
    pool_csv = next((path for path in tables if path.name == "pool.csv"), None)
    found = [read_pictures(path) for path in pictures]
    reports = read_tables(tables)
    text = render(
        reports,
        methods,
        guard={} if guard_csv is None else in_words_by_pair(guard_csv),
        pools={} if pool_csv is None else pool.in_words_by_pair(pool_csv),
        pictures={(one["model"], one["benchmark"]): one for one in found},
        run=run.section(
            probes=probes,
            tables=reports,
            logs=logs,
            configuration=configuration or {},
            memory=memory,
            report=next((path for path in tables if path.name == "report.csv"), None),
        ),
    )
    with atomic_path(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    log.info("the page has %d kB", len(text.encode()) // 1000)
