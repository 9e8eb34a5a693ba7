"""Which scores have ROC curves and histograms: the recommended one and max_logit."""

import pandas as pd

from lpclip.reporting.methods import Method
from lpclip.reporting.page.detection import section

METHODS = [
    Method("m", "b", name, "self_training", 0, "strong", "disjoint", False, "images")
    for name in ("one", "two")
]
LOOKS = {name: {"color": "#010210", "marker": "o", "linestyle": "-"} for name in ("one", "two")}


def tables(recommended):
    """Return tables in which each method has its recommended score, and max_logit."""
    ood, curves, held_out = [], [], []
    for method, score in recommended.items():
        of = {"model": "m", "benchmark": "b", "method": method, "seed": 0}
        held_out += [{**of, "score": score, "auroc": 0.9}, {**of, "score": "msp", "auroc": 0.8}]
        for name in (score, "max_logit", "msp"):
            place = {**of, "dataset": "photos", "group": "far", "score": name}
            ood.append({**place, "auroc": 0.9})
            for number in range(4):
                row = {"bin": number, "low": number, "high": number + 1.0}
                curves.append({**place, **row, "n_id": 2 * number, "n_ood": 2 * (3 - number)})
    rows = {"ood": ood, "ood_curves": curves, "ood_held_out": held_out}
    return {name: pd.DataFrame(one) for name, one in rows.items()}


def plots(recommended):
    found = section(tables(recommended), METHODS, LOOKS)
    (figure,) = found["figures"]
    return figure["plots"]


def test_a_score_without_a_head_is_plotted_once():
    first, second = plots(dict.fromkeys(("one", "two"), "nearest_neighbours"))
    assert (first["title"], first["without_head"]) == ("recommended: nearest neighbours", True)
    assert [name for name, _ in first["histograms"]] == ["every method"]
    assert (second["title"], second["without_head"]) == ("max logit", False)
    assert [name for name, _ in second["histograms"]] == ["one", "two"]


def test_a_score_of_the_head_is_plotted_for_each_method():
    first, _ = plots(dict.fromkeys(("one", "two"), "half_way_mcm"))
    assert (first["title"], first["without_head"]) == ("recommended: half way mcm", False)
    assert [name for name, _ in first["histograms"]] == ["one", "two"]


def test_methods_can_have_scores_of_their_own():
    first, _ = plots({"one": "half_way_mcm", "two": "mahalanobis"})
    assert (first["title"], first["without_head"]) == ("recommended: by method", False)
    axes = [str(svg) for _, svg in first["histograms"]]
    assert ["half way mcm" in axes[0], "mahalanobis" in axes[1]] == [True, True]


def test_figures_are_described_in_words():
    first, _ = plots({"one": "mcm", "two": "mcm"})
    assert "ROC curves of 2 methods, test images against photos." in str(first["roc"])
    # Shares 0, 2, 4, 6 of 12 test images in the bins and 6, 4, 2, 0 of the OOD images.
    assert "test images and photos share 33% of area." in str(first["histograms"][0][1])


def test_without_recommended_scores_max_logit_is_plotted_alone():
    found = tables({"one": "mcm", "two": "mcm"})
    found["ood_held_out"] = found["ood_held_out"].iloc[:0]
    (figure,) = section(found, METHODS, LOOKS)["figures"]
    assert [one["title"] for one in figure["plots"]] == ["max logit"]
