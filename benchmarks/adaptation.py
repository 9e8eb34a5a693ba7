"""The adaptation study: when does self-training help, and does the guard detect it?

    python benchmarks/adaptation.py
    python benchmarks/adaptation.py --features clip.npz   # adds real CLIP features

Every case is run with 5 seeds, which also sample the images of the unlabelled set. Per case:
zero-shot, every label-free method, a supervised reference, and the oracle, which is the best
label-free method by test labels. Writes results/adaptation.csv (a row per case, method and seed),
results/adaptation_ood.csv and results/adaptation_guard.csv, and prints a summary.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cases
import numpy as np
import pandas as pd
from cases import Case
from parallel import in_parallel
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from lpclip.methods.kinds.self_training import Settings
from lpclip.methods.labelling.settings import Labelling
from lpclip.methods.training.examine import examine
from lpclip.methods.training.guard import Decision
from lpclip.methods.training.self_training import self_train
from lpclip.metrics.calibration import expected_calibration_error
from lpclip.metrics.detection import detection_metrics
from lpclip.metrics.ood_scores import max_logit, mcm
from lpclip.storage.features import normalise
from lpclip.storage.probes import Probes, between
from lpclip.storage.text import ZeroShotHead
from lpclip.types import FloatArray

RESULTS = Path(__file__).parent / "results"
SEEDS = range(5)
GUARDED = "lp_clip_guarded"
PLAIN = Labelling(temperature=1.0, structure=0.0, prior="none", class_floor=0.0)
PAPER = Settings(labelling=PLAIN, rounds=5, class_weighting=0.0, student_view="strong")
# The label-free methods, with the settings of config.yaml.
METHODS: dict[str, Settings] = {
    "lp_clip": PAPER,
    "lp_clip_balanced": replace(PAPER, labelling=replace(PLAIN, prior="align")),
    "lp_clip_auto": Settings(),
}


def battery(features: Path | None) -> Iterator[tuple[str, dict[str, Settings], Any]]:
    """Yield the name of each case, the methods to run on it, and ``seed -> Case``."""
    head = cases.zero_shot(cases.NUMBERS, cases.DIGIT_TEMPLATES)
    letters = cases.embed(
        {"kind": "glyphs", "characters": "letters_and_symbols", "n": 900, "seed": 9}
    )
    patches = cases.embed({"kind": "photo_patches", "n": 899}, views=False)
    others = cases.embed({"kind": "glyphs", "characters": "letters_and_symbols", "n": 899})

    def digits(name: str, **paint: Any) -> Case:
        adapt, test = (
            cases.embed({"kind": "digits", "split": split, **paint}, views=split == "adapt")
            for split in ("adapt", "test")
        )
        return Case(name, head, adapt, test, {"near": others, "far": patches})

    plain = digits("digits")
    coloured = digits("coloured", paint="colours")
    photographs = digits("on photographs", paint="photographs")
    c = np.arange(10)
    for base in (plain, coloured, photographs):
        yield base.name, METHODS, _always(base)
        for name, keep in (("1 - .08 c", 1 - 0.08 * c), ("10:1", 10.0 ** (-c / 9))):
            yield (
                f"{base.name}, {name}",
                METHODS,
                lambda seed, base=base, name=name, keep=keep: cases.rarer(base, name, keep, seed),
            )
    for base in (plain, coloured):
        for n in (20, 50):
            yield (
                f"{base.name}, {n} a class",
                METHODS,
                lambda seed, base=base, n=n: cases.few(base, str(n), n, seed),
            )
    both = replace(plain, adapt=cases.embed({"kind": "digits", "split": "all"}))
    yield (
        "digits, 200 a class of all, tested on themselves",
        METHODS,
        lambda seed: _on_itself(cases.few(both, "200", 200, seed)),
    )
    for share in (0.1, 0.3, 0.5):
        yield (
            f"digits, {share:.0%} letters",
            METHODS,
            lambda seed, share=share: cases.mixed(plain, f"{share}", letters, share, seed),
        )
    wrong = (*cases.NUMBERS[:7], "banana", *cases.NUMBERS[8:])
    yield (
        "digits, seven is called banana",
        METHODS,
        _always(replace(plain, head=cases.zero_shot(wrong, cases.DIGIT_TEMPLATES))),
    )
    yield "digits, nine is not in the list", METHODS, _always(_without_nine(plain))
    for threshold in (0.0, 0.9, 0.95):
        bad = {name: _with_threshold(settings, threshold) for name, settings in METHODS.items()}
        yield f"digits, threshold {threshold}", bad, _always(plain)
    if features is not None:
        yield "features", METHODS, _always(read_features(features))


def _always(case: Case) -> Callable[[int], Case]:
    """Return the same case for every seed."""
    return lambda _: case


def _with_threshold(settings: Settings, threshold: float) -> Settings:
    return replace(settings, labelling=replace(settings.labelling, threshold=threshold))


def _on_itself(case: Case) -> Case:
    return replace(case, test=case.adapt)


def _without_nine(case: Case) -> Case:
    """Use nine class names; the nines stay in the unlabelled set, as OOD images."""
    adapt = replace(case.adapt, labels=np.where(case.adapt.labels == 9, -1, case.adapt.labels))
    return replace(
        case,
        head=cases.zero_shot(cases.NUMBERS[:9], cases.DIGIT_TEMPLATES),
        adapt=adapt,
        test=case.test.take(np.flatnonzero(case.test.labels != 9)),
    )


def read_features(path: Path) -> Case:
    """Read arrays adapt, adapt_labels, test, test_labels, text, classes; optional ood_textures."""
    with np.load(path, allow_pickle=False) as arrays:
        found = dict(arrays)
    text = normalise(found["text"].astype(np.float32))
    head = ZeroShotHead(text, 0.0, 100.0, tuple(map(str, found["classes"])), {})
    adapt = cases.without_views(found["adapt"], found["adapt_labels"])
    test = cases.without_views(found["test"], found["test_labels"])
    textures = found.get("ood_textures")
    ood = (
        {"far": cases.without_views(textures, np.full(len(textures), -1))}
        if textures is not None
        else {}
    )
    return Case("features", head, adapt, test, ood)


def all_seeds(
    task: tuple[str, dict[str, Settings], list[Case]],
) -> tuple[list[Any], list[Any], list[Any]]:
    """Return the rows of accuracy, of detection and of the guard for one case with every seed.

    Args:
        task: name, methods, and the case as sampled by every seed.
    """
    name, methods, sampled = task
    results: list[Any] = []
    detections: list[Any] = []
    decisions: list[Any] = []
    right: dict[str, list[Any]] = {}
    for seed, case in zip(SEEDS, sampled, strict=True):
        if seed == SEEDS[0] or case is not sampled[0]:
            reference = supervised(case)
        rows, ood, decision = run(case, methods, seed, reference)
        for row in rows:
            right.setdefault(row["method"], []).append(row.pop("right"))
            results.append({"case": name, "seed": seed, **row})
        detections += [{"case": name, "seed": seed, **row} for row in ood]
        strongest = max(decision.estimated_gain, key=decision.estimated_gain.__getitem__)
        decisions.append(
            {
                "case": name,
                "seed": seed,
                "decision": decision.decision,
                "strength": decision.strength,
                "estimated_gain": decision.estimated_gain[strongest],
                **asdict(decision.evidence),
            }
        )
    for method, each in right.items():
        if len({len(row) for row in each}) == 1:
            difference = np.array(each, float) - np.array(right["zero_shot"], float)
            low, high = paired_interval(difference)
            for row in results:
                if row["method"] == method:
                    row["gain_low"], row["gain_high"] = low, high
    return results, detections, decisions


def run(
    case: Case, methods: dict[str, Settings], seed: int, reference: tuple[FloatArray, FloatArray]
) -> tuple[list[Any], list[Any], Decision]:
    """Return the rows of accuracy, the rows of detection, and the guard's decision.

    Args:
        case: the data.
        methods: name -> settings.
        seed: seed of the training.
        reference: weight and bias of a supervised head.
    """
    trained = {
        name: self_train(case.head, case.adapt.pool(settings), settings, [seed])
        for name, settings in methods.items()
    }
    auto = trained["lp_clip_auto"]
    recommended = methods["lp_clip_auto"]
    decision = examine(case.head, case.adapt.pool(recommended), auto, recommended)
    heads = {"zero_shot": (auto.weight[0, 0], auto.bias[0, 0])}
    heads |= {name: (probes.weight[-1, 0], probes.bias[-1, 0]) for name, probes in trained.items()}
    heads[GUARDED] = _way(auto, decision.strength)
    heads["supervised"] = reference
    rows, ood = [], []
    for group, images in case.ood.items():
        for name, (weight, bias) in {**heads, "half-way to auto": _way(auto, 0.5)}.items():
            inside = _scores(case, case.test.clean, weight, bias)
            outside = _scores(case, images.clean, weight, bias)
            ood += [
                {
                    "method": name,
                    "group": group,
                    "score": score,
                    **detection_metrics(inside[score], outside[score]),
                }
                for score in inside
            ]
    for name, (weight, bias) in heads.items():
        probabilities = softmax(_logits(case, case.test.clean, weight, bias), axis=-1)
        right = probabilities.argmax(axis=1) == case.test.labels
        rows.append(
            {
                "method": name,
                "accuracy": right.mean(),
                "ece": expected_calibration_error(probabilities, case.test.labels),
                "right": right,
            }
        )
    return rows, ood, decision


def _way(probes: Probes, strength: float) -> tuple[FloatArray, FloatArray]:
    return (
        between(probes.weight[0, 0], probes.weight[-1, 0], strength),
        between(probes.bias[0, 0], probes.bias[-1, 0], strength),
    )


def _logits(case: Case, values: FloatArray, weight: FloatArray, bias: FloatArray) -> FloatArray:
    logits: FloatArray = case.head.scale * (values @ weight.T) + bias
    return logits


def _scores(
    case: Case, values: FloatArray, weight: FloatArray, bias: FloatArray
) -> dict[str, FloatArray]:
    return {
        "max_logit": max_logit(_logits(case, values, weight, bias)),
        "mcm": mcm(values @ normalise(weight).T),
    }


def supervised(case: Case) -> tuple[FloatArray, FloatArray]:
    """Fit logistic regression to the labelled rows; classes without labels are never predicted.

    The regularisation is selected from four values on a tenth of the labels.
    """
    known = np.flatnonzero(case.adapt.labels >= 0)
    labels = case.adapt.labels[known]
    values = case.head.scale * case.adapt.clean[known]
    held = np.random.default_rng(0).random(len(known)) < 0.1
    found = [
        LogisticRegression(C=c, max_iter=200, tol=1e-3).fit(values[~held], labels[~held])
        for c in (1e-4, 1e-3, 1e-2, 1e-1)
    ]
    model = max(found, key=lambda fitted: fitted.score(values[held], labels[held]))
    weight = np.zeros_like(case.head.weight)
    bias = np.full(len(weight), -np.inf, dtype=np.float32)
    weight[model.classes_], bias[model.classes_] = model.coef_, model.intercept_
    return weight, bias


def paired_interval(differences: FloatArray, *, draws: int = 2000) -> tuple[float, float]:
    """95 % bootstrap interval of the mean of paired differences ``[S, N]`` over test samples.

    All seeds have the same test samples, so samples are resampled and seeds averaged.
    """
    per_sample = differences.mean(axis=0)
    generator = np.random.default_rng(0)
    rows = generator.integers(len(per_sample), size=(draws, len(per_sample)))
    low, high = np.quantile(per_sample[rows].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--features", type=Path, help="an .npz of precomputed CLIP features")
    options = parser.parse_args()
    found = [
        (name, methods, [make(seed) for seed in SEEDS])
        for name, methods, make in battery(options.features)
    ]
    parts = in_parallel(all_seeds, found)
    results, detections, decisions = ([row for part in parts for row in part[i]] for i in range(3))
    RESULTS.mkdir(exist_ok=True)
    for path, rows in (
        ("adaptation", results),
        ("adaptation_ood", detections),
        ("adaptation_guard", decisions),
    ):
        pd.DataFrame(rows).to_csv(RESULTS / f"{path}.csv", index=False, float_format="%.4f")
    print(summary(pd.DataFrame(results), pd.DataFrame(decisions)))
    print(detection_summary(pd.DataFrame(detections)))


def summary(results: pd.DataFrame, decisions: pd.DataFrame) -> str:
    """Format zero-shot's accuracy, the gains of the others and the guard's results, in per cent."""
    table = results.pivot_table(index="case", columns="method", values="accuracy", sort=False)
    zero = table.pop("zero_shot")
    gains = table.sub(zero, axis=0) * 100
    label_free = [*METHODS, GUARDED]
    shown = gains.assign(
        zero_shot=100 * zero,
        oracle=gains[[*METHODS]].max(axis=1).clip(lower=0),
        adapted=decisions.groupby("case", sort=False)["strength"].mean(),
    )[["zero_shot", *label_free, "oracle", "supervised", "adapted"]]
    kept = shown[GUARDED] / shown["oracle"]
    worth = shown["oracle"] > 0.5
    limits = (
        results[results["method"] == "lp_clip_auto"]
        .groupby("case", sort=False)[["gain_low", "gain_high"]]
        .first()
    )
    clear = (limits["gain_low"] > 0) | (limits["gain_high"] < 0)
    adapts = (
        decisions.assign(adapts=decisions["decision"] == "adapted")
        .groupby("case", sort=False)["adapts"]
        .mean()
        > 0.5
    )
    guarded_limits = (
        results[results["method"] == GUARDED]
        .groupby("case", sort=False)[["gain_low", "gain_high"]]
        .first()
    )
    # Right: adapts where the shipped head gains; keeps zero-shot where the adapted head loses.
    right = np.where(adapts, guarded_limits["gain_high"] >= 0, ~(limits["gain_low"] > 0))
    return (
        f"{shown.round(1).to_string()}\n\n"
        f"guarded: worst {shown[GUARDED].min():.1f}; keeps on average {kept[worth].mean():.0%} of "
        f"the oracle's gain where that is more than 0.5; right in {right.mean():.0%} of "
        f"{len(right)} cases ({clear.sum()} with a clear difference: {right[clear].mean():.0%})"
    )


def detection_summary(ood: pd.DataFrame) -> str:
    """Format the means over cases, groups and seeds of the best score in each case and group."""
    means = ood.groupby(["case", "group", "method", "score"], sort=False)[
        ["auroc", "fpr95_id_pos"]
    ].mean()
    best = means.groupby(["case", "group", "method"], sort=False).agg(
        auroc=("auroc", "max"), fpr95=("fpr95_id_pos", "min")
    )
    overall = best.groupby("method", sort=False).mean() * 100
    by_group = best.groupby(["group", "method"], sort=False).mean() * 100
    return f"{overall.round(1).to_string()}\n\n{by_group.round(1).to_string()}"


if __name__ == "__main__":
    main()
