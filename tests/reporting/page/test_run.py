"""Time and memory of the stages, from the benchmark files of Snakemake."""

import pytest

from lpclip.reporting.page.run import section
from lpclip.reporting.page.tables import read_tables


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
