"""The guard's decision in guard.csv and in the summary."""

from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest

from lpclip.columns.guard import GUARD
from lpclip.errors import LpclipError
from lpclip.methods.training.guard import ADAPTED, ZERO_SHOT, Decision, Evidence
from lpclip.methods.training.rounds import Round, rounds_table
from lpclip.reporting.guard import in_words, write_guard_table
from lpclip.storage.probes import Probes, write_probes

EVIDENCE = Evidence(
    gaussian=-0.012,
    halves=1 / 3,
    agreement=0.87,
    change=0.2,
    neighbours=0.05,
    views=-0.06,
    balance=0.01,
)


def decision(strength):
    gains = {0.0: (-0.04, -0.02), 0.5: (0.025, 0.01), 1.0: (0.01, 0.025)}[strength]
    return Decision(
        ADAPTED if strength else ZERO_SHOT,
        strength,
        dict(zip((0.5, 1.0), gains, strict=True)),
        EVIDENCE,
    )


def probes_file(path, *, method="guarded", strength=None, benchmark="digits", model="tiny"):
    probes = Probes(
        weight=np.zeros((1, 1, 2, 3), dtype=np.float32),
        bias=np.zeros((1, 1, 2), dtype=np.float32),
        scale=1.0,
        class_names=("a", "b"),
        seeds=(0,),
        rounds=rounds_table([Round(0, 0)]),
    )
    if strength is not None:
        probes = replace(probes, guard=decision(strength).table())
    write_probes(path, probes, {"model": model, "benchmark": benchmark, "method": method})
    return path


@pytest.fixture
def table_of(tmp_path):
    def table(*methods):
        files = [probes_file(tmp_path / f"{i}.h5", **method) for i, method in enumerate(methods)]
        write_guard_table(files, tmp_path / "guard.csv")
        return tmp_path / "guard.csv"

    return table


def test_there_is_a_row_per_guarded_method_and_strength(table_of):
    path = table_of(
        {"method": "plain"}, {"method": "one", "strength": 0.5}, {"method": "two", "strength": 0.0}
    )
    table = pd.read_csv(path)
    assert tuple(table) == GUARD.names
    assert table["method"].tolist() == ["one", "one", "two", "two"]
    assert table["strength"].tolist() == [0.5, 1.0, 0.5, 1.0]
    assert table["decision"].tolist() == ["adapted", "adapted", "zero_shot", "zero_shot"]
    assert table["chosen_strength"].tolist() == [0.5, 0.5, 0.0, 0.0]
    assert table["estimated_gain"].tolist() == [0.025, 0.01, -0.04, -0.02]
    for name, value in asdict(EVIDENCE).items():
        assert table[name].tolist() == pytest.approx([value] * 4, rel=1e-5)


@pytest.mark.parametrize("methods", [[], [{"method": "plain"}]])
def test_without_a_guarded_method_there_is_only_a_header(table_of, methods):
    path = table_of(*methods)
    assert path.read_text(encoding="utf-8") == ",".join(GUARD.names) + "\n"
    assert in_words(path) == []


@pytest.mark.parametrize(
    ("strength", "verdict", "gain"),
    [
        (
            0.5,
            "ships a head 50% of the way from zero-shot to the adapted one.",
            "+2.5 points.",
        ),
        (1.0, "ships the adapted head.", "+2.5 points."),
        # The closest strength: its estimate, -2 points, is the larger one.
        (0.0, "keeps zero-shot.", "-2.0 points at best."),
    ],
)
def test_the_words_say_what_is_shipped_its_estimate_and_the_evidence(
    table_of, strength, verdict, gain
):
    (words,) = in_words(table_of({"strength": strength}))
    assert words.startswith(f"guarded on digits, model tiny, {verdict} ")
    assert f"Estimated gain without a label: {gain} " in words
    # The evidence does not depend on the strength.
    assert "differs from zero-shot for 20%;" in words
    assert "; an independent classifier agrees with it for -1.2 points" in words
    assert "agree with each other for +33.3 points" in words
    assert "; 87% of neighbours get the same class." in words


def test_there_is_a_paragraph_per_decision_under_the_names_as_they_are(table_of):
    first, second = in_words(
        table_of(
            {"benchmark": "NA", "model": "007", "strength": 1.0},
            {"benchmark": "1e3", "model": "007", "strength": 0.0},
        )
    )
    assert first.startswith("guarded on NA, model 007, ships")
    assert second.startswith("guarded on 1e3, model 007, keeps")


@pytest.mark.parametrize(
    "change",
    [
        lambda _: "",
        lambda text: text.replace(",halves,", ",thirds,"),
        lambda text: text.replace("method", "way"),
        lambda text: text.replace(",1,0.025", ",1,much"),
        lambda text: text.replace(",1,0.025", ",1,"),
    ],
    ids=["empty", "no halves", "no method", "text for a number", "no number"],
)
def test_another_table_is_refused_by_path(table_of, change):
    path = table_of({"strength": 1.0})
    text = change(path.read_text(encoding="utf-8"))
    assert text != path.read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LpclipError, match=r"guard\.csv: (not a|column)"):
        in_words(path)


def test_a_table_that_is_not_there_is_refused_by_path(tmp_path):
    with pytest.raises(LpclipError, match=r"nowhere\.csv: not a readable CSV file"):
        in_words(tmp_path / "nowhere.csv")
