"""Edited or damaged tables of a report: shown or rejected with a short error, no traceback."""

import contextlib
import io
import shutil

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lpclip.cli.command import main
from lpclip.columns.guard import GUARD
from lpclip.columns.skipped import SKIPPED
from lpclip.errors import LpclipError
from lpclip.reporting.read import read_report
from tests.helpers.evaluations import small_evaluation, write_tables

TABLES = ("report", "shifts", "robustness", "ood", "ood_held_out", "per_class", "guard", "skipped")
CELLS = st.one_of(
    st.sampled_from(
        [
            "abc",
            "0.5",
            "5.5",
            "",
            "nan",
            "inf",
            "-inf",
            "1e400",
            "-1",
            "1e300",
            "1_000",
            "３",
            "1,5",
            "lp_clip",
            "True",
        ]
    ),
    st.sampled_from(['"', "\x00", "\x1b[2J", "99999999999999999999", "digits", "tiny", "a\nb"]),
    st.text(max_size=4),
)
# Important columns, which half of the edits change; the other half change any column.
COLUMNS = (
    *("model", "benchmark", "method", "n_labels", "n_seeds", "accuracy", "accuracy_std"),
    *("mean_corruption_accuracy", "ece_std", "frost_texture", "score", "auroc", "family", "n"),
    *("subset", "dataset", "chosen_strength", "strength", "estimated_gain", "severity", "seed"),
)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """A run's tables, each with a few rows, including those that only some runs have."""
    folder = write_tables(small_evaluation(), tmp_path_factory.mktemp("fuzz"))
    names = {"model": "tiny", "benchmark": "digits", "method": "lp_clip"}
    strengths = [dict.fromkeys(GUARD.names, 0.25) | names | {"decision": "half", "strength": 0.5}]
    pd.DataFrame(strengths).assign(chosen_strength=0.5).to_csv(folder / "guard.csv", index=False)
    skipped = pd.DataFrame([["d", "a", "a.png", "empty"]], columns=list(SKIPPED.names))
    skipped.to_csv(folder / "skipped.csv", index=False)
    for name in TABLES:
        cells = pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False)
        few = cells if name == "report" else cells.iloc[:: max(1, len(cells) // 8)]
        few.to_csv(folder / f"{name}.csv", index=False)
    return folder


@st.composite
def edits(draw):
    """Generate a table's name and its changes, as functions of the text and the cells."""
    name = draw(st.sampled_from(TABLES + TABLES[:1] * 3))
    place = draw(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)))
    kinds = "cell cell cell column column drop drop double rows byte"
    kind = draw(st.sampled_from(kinds.split()))
    return name, kind, place, draw(CELLS), draw(st.binary(max_size=3))


def edit(path, kind, place, cell, data):
    if kind == "byte":
        content = bytearray(path.read_bytes())
        start = place[0] % (len(content) + 1)
        content[start : start + place[1] % 3] = data
        path.write_bytes(content)
        return
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    known = [number for number, name in enumerate(table) if name in COLUMNS]
    columns = known if known and place[0] % 2 else range(len(table.columns))
    row, column = place[0] // 2 % max(1, len(table)), columns[place[1] % len(columns)]
    if kind == "cell" and len(table):
        table.iloc[row, column] = cell
    elif kind == "column":
        table.iloc[:, column] = cell
    elif kind == "drop":
        table = table.drop(columns=table.columns[column])
    elif kind == "double":
        table.columns = [*table.columns[:-1], table.columns[column]]
    elif kind == "rows":
        table = table.iloc[:0] if place[0] % 2 else pd.concat([table, table])
    with path.open("w", encoding="utf-8", errors="surrogatepass", newline="") as file:
        table.to_csv(file, index=False)


def status(*arguments):
    """Return the exit status of a command, whose output must be safe for a terminal."""
    code = 0
    with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.redirect_stderr(shown):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as error:
            code = error.code
    assert code in (0, 1, 2)
    assert "\x1b" not in shown.getvalue()
    return code


@settings(
    phases=[Phase.explicit, Phase.generate],  # failures are small without shrinking
    max_examples=20,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(changed=st.lists(edits(), min_size=1, max_size=2))
def test_an_edited_table_is_shown_or_refused_in_a_sentence(tables, tmp_path_factory, changed):
    folder = tmp_path_factory.getbasetemp() / "edited"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(tables, folder)
    # Bytes last: afterwards a table may be unreadable, and its cells cannot be changed.
    for name, *how in sorted(changed, key=lambda each: each[1] == "byte"):
        edit(folder / f"{name}.csv", *how)
    report = folder / "report.csv"
    status("summary", report)
    status("summary", report, "--format", "markdown")
    status("compare", report, tables / "report.csv", "--all")
    for name in dict.fromkeys(name for name, *_ in changed):
        status("inspect", folder / f"{name}.csv")
        with contextlib.suppress(LpclipError):
            read_report(folder / f"{name}.csv")
