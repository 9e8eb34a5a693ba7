"""Which points of sweeps the guard's estimate covers, and what the stage reads for it."""

import yaml

from lpclip.config import estimates
from lpclip.config.check import complete
from lpclip.config.jobs import Jobs
from tests.helpers import ROOT

PAIR = {"model": "tiny", "benchmark": "digits"}


def swept(methods):
    given = yaml.safe_load((ROOT / "config.yaml").read_text())
    given["methods"] = {"zero_shot": {"kind": "zero_shot"}, **methods}
    return complete(given)


def test_points_that_saw_no_label_are_estimated_by_how_they_were_trained():
    alpha = {"alpha": {"sweep": [0.2, 0.6]}}
    checked = swept(
        {
            "own": {"kind": "self_training", "labelling": {"sweep": ["auto", "aligned"]}},
            "between": {"kind": "wise_ft", "method": "plain", **alpha},
            "plain": {"kind": "self_training", "labelling": "confident"},
            "stata": {"kind": "stata", "anchor": {"sweep": [1.0, 2.0]}},
            "supervised": {"kind": "supervised", "label_share": {"sweep": [0.5, 1.0]}},
            "of_labels": {"kind": "wise_ft", "method": "few", **alpha},
            "few": {"kind": "few_shot"},
        }
    )
    given = Jobs(checked).settings("estimate_gains", PAIR)
    assert given["trained"] == {
        "own_labelling_auto": "auto",
        "own_labelling_aligned": "align",
        "between_alpha_0.2": "none",
        "between_alpha_0.6": "none",
        "stata_anchor_1": "stata",
        "stata_anchor_2": "stata",
    }
    assert given["sweeps"]["own_labelling_auto"] == "own"
    assert estimates.probes(checked, PAIR) == [
        f"results/tiny/digits/{name}/probes.h5" for name in given["trained"]
    ]
    assert estimates.tables(checked) == ["results/tiny/digits/estimates.csv"]


def test_without_such_points_there_is_no_job():
    shares = {"kind": "supervised", "label_share": {"sweep": [0.5, 1.0]}}
    assert estimates.tables(swept({"supervised": shares})) == []
