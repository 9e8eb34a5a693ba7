"""Tables of columns: sound in themselves, and the only columns that are written."""

import ast

import pandas as pd
import pytest

from lpclip.columns.registry import DOCUMENTED
from lpclip.columns.report import ON_GENERATED, REPORT
from lpclip.columns.robustness import ROBUSTNESS
from lpclip.columns.rounds import ROUNDS
from lpclip.columns.skipped import SKIPPED
from lpclip.storage.reports import write_part, write_report
from lpclip.utils.code_hash import _normalised
from tests.helpers import ROOT
from tests.test_floors import imports, modules


@pytest.mark.parametrize("table", DOCUMENTED.values(), ids=DOCUMENTED)
def test_a_table_is_sound(table):
    assert len(set(table.names)) == len(table.names)
    assert set(table.keys) <= set(table.names)
    assert table.row.startswith("one row per")
    for column in table.columns:
        assert column.description.endswith("."), column.name
        assert table[column.name] is column


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("accuracy", "higher"),
        ("mean_corruption_accuracy", "higher"),
        ("official_mean_corruption_accuracy", "higher"),
        ("near_auroc_half_way_mcm", "higher"),
        ("effective_robustness_imagenet_r", "higher"),
        ("ece", "lower"),
        ("official_corrupted_nll", "lower"),
        ("relative_mce_vs_alexnet", "lower"),
        ("far_fpr95_id_pos_recommended", "lower"),
        ("accuracy_lost_1_to_5", "lower"),
        ("confidence", "none"),
        ("n_labels", "none"),
    ],
)
def test_it_is_stated_which_values_are_better_in_old_and_new_reports(name, better):
    assert REPORT[name].better == better
    assert REPORT[f"{name}_std" if name != "n_labels" else name].better == "none"


def test_a_column_that_no_version_had_is_none():
    assert REPORT.column("corruption_source") is None
    with pytest.raises(KeyError, match="report has no column corruption_source"):
        REPORT["corruption_source"]


def test_generated_corruptions_have_no_part_in_clean_and_official_figures():
    assert {"mean_corruption_accuracy", "corrupted_ece", "worst_corruption_accuracy"} < set(
        ON_GENERATED
    )
    assert not {"accuracy", "ece", "official_mean_corruption_accuracy"} & set(ON_GENERATED)


def test_rows_are_written_in_the_tables_order_types_and_precision(tmp_path):
    row = dict.fromkeys(ROUNDS.names, 2 / 3) | {"model": "NA", "benchmark": "b", "method": "m"}
    row |= {"status": "ok", "round": 1.0, "epochs": None, "seed": 0, "balance": float("nan")}
    write_report([dict(reversed(row.items()))], tmp_path / "rounds.csv", ROUNDS)
    assert (tmp_path / "rounds.csv").read_bytes().decode() == (
        "model,benchmark,method,seed,round,status,coverage,pseudo_label_accuracy,confidence,"
        "balance,agreement,epochs,test_accuracy\n"
        "NA,b,m,0,1,ok,0.666667,0.666667,0.666667,,0.666667,,0.666667\n"
    )
    write_part([row], tmp_path / "part.csv", ROUNDS)
    assert ",ok,0.666666667,0.666666667," in (tmp_path / "part.csv").read_text()
    write_report([], tmp_path / "none.csv", SKIPPED)
    assert (tmp_path / "none.csv").read_text() == "dataset,id,path,reason\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extra": 1.0}, "robustness has other columns than its table: extra"),
        ({"n": 1.5}, "column 'n' is no integer"),
        ({"n": None}, "column 'n' is no integer"),
        ({"accuracy": "high"}, "column 'accuracy' is no number"),
        ({"shift": 3}, "column 'shift' is no text"),
    ],
)
def test_other_columns_and_types_are_refused(tmp_path, change, message):
    cells = {"text": "a", "integer": 1, "count": 1, "number": 0.5}
    row = {column.name: cells[column.type] for column in ROBUSTNESS.columns} | change
    with pytest.raises(ValueError, match=message):
        write_report(pd.DataFrame([row]), tmp_path / "robustness.csv", ROBUSTNESS)
    assert not (tmp_path / "robustness.csv").exists()


@pytest.mark.parametrize(
    ("stage", "module"),
    [
        ("robustness", "robustness"),
        ("detection", "ood"),
        ("feature_detection", "ood"),
        ("held_out", "held_out"),
        ("rounds", "rounds"),
        ("paired", "paired"),
    ],
)
def test_a_stage_depends_on_its_own_tables_alone(stage, module):
    """A new column re-runs the stage that writes it and the report, and no other evaluation."""
    known = modules()
    found, pending = set(), {f"lpclip.evaluation.{stage}"}
    while pending:
        name = pending.pop()
        found.add(name)
        pending |= imports(name, known[name], known) - found
    columns = {name for name in found if name.startswith("lpclip.columns.")}
    assert columns == {f"lpclip.columns.{module}", "lpclip.columns.table"}


class _Edited(ast.NodeTransformer):
    """Replace every sentence by another one, except in errors."""

    n = 0

    def visit_Constant(self, node):
        if isinstance(node.value, str) and node.value.count(" ") > 2:
            self.n += 1
            return ast.Constant("Another sentence.")
        return node

    def visit_Raise(self, node):
        return node


def test_editing_any_description_changes_no_hash(tmp_path):
    edited = _Edited()
    for path in (ROOT / "lpclip/columns").glob("*.py"):
        copy = tmp_path / path.name
        copy.write_text(ast.unparse(edited.visit(ast.parse(path.read_bytes()))))
        assert _normalised(copy) == _normalised(path), path
    assert edited.n > 100
