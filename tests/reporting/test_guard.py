"""The guard's decision in guard.csv and in the summary."""

from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest

from lpclip.columns.guard import GUARD
from lpclip.errors import LpclipError
from lpclip.methods.training.evidence import Evidence
from lpclip.methods.training.guard import Candidate, decide
from lpclip.methods.training.rounds import Round, rounds_table
from lpclip.reporting.guard import in_words, in_words_by_pair, write_guard_table
from lpclip.storage.probes import Probes, write_probes

STRENGTHS = (0.25, 0.75)
EVIDENCE = Evidence(
    change=0.2,
    neighbours=0.65,
    posterior=0.25,
    gaussian=0.5,
    others=1 / 3,
    zero_shot_agreement=0.87,
    support=1.0,
    images_per_class=40.0,
)
AGAINST = replace(EVIDENCE, change=0.1, neighbours=0.05, posterior=-0.8, gaussian=-1, others=-0.5)


def decision(*, adapted, reason=""):
    """Return the decision on two candidates, the second the better one."""
    second = EVIDENCE if adapted or reason else replace(AGAINST, gaussian=-0.5)
    candidates = [
        Candidate(name, kind, dict.fromkeys(STRENGTHS, evidence))
        for name, kind, evidence in (("lp_clip", "none", AGAINST), ("stata", "stata", second))
    ]
    return decide(candidates, images=100, classes=5, reason=reason)


def probes_file(path, *, method="guarded", benchmark="digits", model="tiny", **decided):
    probes = Probes(
        weight=np.zeros((1, 1, 2, 3), dtype=np.float32),
        bias=np.zeros((1, 1, 2), dtype=np.float32),
        scale=1.0,
        class_names=("a", "b"),
        seeds=(0,),
        rounds=rounds_table([Round(0, 0)]),
    )
    if decided:
        probes = replace(probes, guard=decision(**decided).table)
    write_probes(path, probes, {"model": model, "benchmark": benchmark, "method": method})
    return path


@pytest.fixture
def table_of(tmp_path):
    def table(*methods):
        files = [probes_file(tmp_path / f"{i}.h5", **method) for i, method in enumerate(methods)]
        write_guard_table(files, tmp_path / "guard.csv")
        return tmp_path / "guard.csv"

    return table


def test_there_is_a_row_per_guarded_method_candidate_and_strength(table_of):
    path = table_of(
        {"method": "plain"}, {"method": "one", "adapted": True}, {"method": "two", "adapted": False}
    )
    table = pd.read_csv(path)
    assert tuple(table) == GUARD.names
    assert table["method"].tolist() == ["one"] * 4 + ["two"] * 4
    assert table["candidate"].tolist() == ["lp_clip", "lp_clip", "stata", "stata"] * 2
    assert table["strength"].tolist() == [0.25, 0.75] * 4
    assert table["decision"].tolist() == ["adapted"] * 4 + ["zero_shot"] * 4
    assert table["reason"].tolist() == ["-"] * 4 + ["no estimated gain is sure enough"] * 4
    assert table["chosen_candidate"].tolist() == ["stata"] * 8
    assert table["chosen_strength"].tolist() == [0.75] * 4 + [0.0] * 4
    for name, value in asdict(EVIDENCE).items():
        assert table[name].tolist()[2:4] == pytest.approx([value] * 2, rel=1e-5)
    own = decision(adapted=True).table
    for name in ("estimated_gain", "gain_low", "gain_high"):
        assert table[name].tolist()[:4] == pytest.approx(own[name].tolist(), rel=1e-5)


@pytest.mark.parametrize("methods", [[], [{"method": "plain"}]])
def test_without_a_guarded_method_there_is_only_a_header(table_of, methods):
    path = table_of(*methods)
    assert path.read_text(encoding="utf-8") == ",".join(GUARD.names) + "\n"
    assert in_words(path) == []


def test_the_words_for_a_candidate_that_is_shipped(table_of):
    table = decision(adapted=True).table
    row = table[table["candidate"] == "stata"].iloc[-1]
    assert row["estimated_gain"] > 0
    gain, low, high = (
        f"{100 * row[name]:+.1f}" for name in ("estimated_gain", "gain_low", "gain_high")
    )
    assert in_words(table_of({"adapted": True})) == [
        "guarded on digits, model tiny, ships a head 75% of the way from zero-shot to stata. "
        f"Estimated gain without a label: {gain} points, 90 % interval {low} to {high}. It differs "
        "from zero-shot for 20% of the unlabelled images; for these, 65% of neighbours speak for "
        "its class, and the other candidates agree with it for +33.3 points compared to zero-shot."
    ]


def test_the_words_for_zero_shot_name_the_reason_and_the_best_candidate(table_of):
    (words,) = in_words(table_of({"adapted": False}))
    assert words.startswith(
        "guarded on digits, model tiny, keeps zero-shot: no estimated gain is sure enough. "
        "Estimated gain without a label: -"
    )
    assert ", of stata. It differs from zero-shot for 10% of the unlabelled images;" in words
    assert "agree with it for -50.0 points" in words


def test_the_words_name_what_makes_a_pool_impossible(table_of):
    reason = "zero-shot predicts one class for every image"
    (words,) = in_words(table_of({"adapted": True, "reason": reason}))
    assert words.startswith(f"guarded on digits, model tiny, keeps zero-shot: {reason}. Estimated")


def test_there_is_a_paragraph_per_decision_under_the_names_as_they_are(table_of):
    path = table_of(
        {"benchmark": "NA", "model": "007", "adapted": True},
        {"benchmark": "1e3", "model": "007", "adapted": False},
    )
    first, second = in_words(path)
    assert first.startswith("guarded on NA, model 007, ships")
    assert second.startswith("guarded on 1e3, model 007, keeps")
    assert in_words_by_pair(path) == {("007", "NA"): [first], ("007", "1e3"): [second]}


@pytest.mark.parametrize(
    "change",
    [
        lambda _: "",
        lambda text: text.replace(",posterior,", ",thirds,"),
        lambda text: text.replace("method", "way"),
        lambda text: text.replace(",0.87,", ",much,"),
        lambda text: text.replace(",0.87,", ",,"),
    ],
    ids=["empty", "no posterior", "no method", "text for a number", "no number"],
)
def test_another_table_is_refused_by_path(table_of, change):
    path = table_of({"adapted": True})
    text = change(path.read_text(encoding="utf-8"))
    assert text != path.read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LpclipError, match=r"guard\.csv(: not a|: column| is a)"):
        in_words(path)


def test_a_strength_that_no_row_has_is_refused(table_of):
    path = table_of({"adapted": True})
    table = pd.read_csv(path)
    table["chosen_strength"] = 0.6
    table.to_csv(path, index=False)
    with pytest.raises(LpclipError, match=r"guarded' has no row for the strength 0\.6"):
        in_words(path)


def test_a_table_that_is_not_there_is_refused_by_path(tmp_path):
    with pytest.raises(LpclipError, match=r"nowhere\.csv does not exist"):
        in_words(tmp_path / "nowhere.csv")
