"""Time and memory of the stages, from the benchmark files of Snakemake."""

import os
import platform
import re
import subprocess
from datetime import date

import pytest

from lpclip.reporting.page.run import section
from lpclip.reporting.page.tables import read_tables
from lpclip.utils.host import commit_of, kind_of_host


@pytest.mark.parametrize(("memory", "shown"), [(True, "300"), (False, "")])
def test_memory_is_shown_only_where_it_was_measured(tmp_path, memory, shown):
    for name, seconds, peak in (("clean", 2.0, 100.0), ("noise", 3.0, 300.0)):
        path = tmp_path / f"logs/evaluate/{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\tmax_rss\n{seconds}\t{peak}\n")
    found = section(
        probes=[],
        tables=read_tables([]),
        logs=tmp_path / "logs",
        configuration={},
        memory=memory,
    )
    (row,) = found["durations"]
    assert (row["stage"], row["jobs"], row["seconds"], row["longest"]) == ("evaluate", 2, "5", "3")
    assert row["memory"] == shown
    assert found["spent"] == "All jobs together took 5 seconds; most of it evaluate 100%."
    assert found["about"].startswith(f"{date.today().isoformat()}")


def test_the_page_names_commit_and_kind_of_host_and_not_the_host(tmp_path):
    def git(*arguments):
        subprocess.run(["git", "-C", tmp_path, *arguments], check=True, capture_output=True)

    assert commit_of(tmp_path) == ""
    git("init")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("-c", "user.name=x", "-c", "user.email=x", "commit", "-m", "x")
    commit = commit_of(tmp_path)
    assert re.fullmatch("[0-9a-f]{12}", commit)
    (tmp_path / "file").write_text("2")
    assert commit_of(tmp_path) == f"{commit}+"
    assert f"{len(os.sched_getaffinity(0))} core" in kind_of_host()
    assert platform.node() not in kind_of_host().split()
