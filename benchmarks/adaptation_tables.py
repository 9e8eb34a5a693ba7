"""Tables and key figures of the battery, as Markdown."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
from compared import GUARDED, LABEL_FREE, PEERS, SELF_TRAINED, SUPERVISED, WITH_HEAD, ZERO_SHOT

CASE = ["table", "images", "pool"]
NAMES = {
    ZERO_SHOT: "zero-shot",
    "transclip": "TransCLIP",
    "stata": "StatA",
    "inmap": "InMaP",
    "gaussian": "Gaussian",
    "otter": "OTTER",
    "zlap": "ZLaP",
    "lame": "LAME",
    "tda": "TDA",
}
WORTH = 0.5  # points; a smaller gain is none
THEMSELVES = ", tested on themselves"


def report(rows: pd.DataFrame, shipped: pd.DataFrame, ood: pd.DataFrame) -> str:
    """Return every table, and the key figures.

    Args:
        rows: accuracy and calibration per case, method and seed.
        shipped: what the guard shipped per case and seed.
        ood: detection per case, method and seed, of the digits.
    """
    parts: list[tuple[str, Callable[[], str]]] = [
        (
            "Genuine features, accuracy in per cent",
            lambda: accuracies(_of(rows, "genuine"), shipped),
        ),
        ("Many classes, accuracy in per cent", lambda: accuracies(_of(rows, "many"), shipped)),
        ("Harm, points over zero-shot", lambda: harm(_of(rows, "harm"))),
        ("Digits, points over zero-shot", lambda: gains(_of(rows, "digits"), shipped)),
        ("OOD detection on the digits, per cent", lambda: detection(ood)),
        ("Key figures", lambda: "\n".join(f"- {line}" for line in key_figures(rows, shipped))),
    ]
    tables = {name.split()[0].lower() for name in rows.get("table", pd.Series(dtype=str))}
    tables |= {"key"} | ({"ood"} if len(ood) else set())
    return "\n\n".join(
        f"## {title}\n\n{make()}"
        for title, make in parts
        if title.split()[0].rstrip(",").lower() in tables
    )


def _of(rows: pd.DataFrame, table: str) -> pd.DataFrame:
    return rows[rows["table"].str.startswith(table)]


def means(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the mean over seeds in per cent, a row per case, a column per method."""
    table = rows.pivot_table(index=CASE, columns="method", values=column)
    methods = [ZERO_SHOT, *SELF_TRAINED, GUARDED, *PEERS, SUPERVISED]
    in_order = table.reindex(pd.MultiIndex.from_frame(rows[CASE].drop_duplicates()))
    return 100 * in_order[_present(table, methods)]


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines))


def number(value: float, form: str = ".1f") -> str:
    """Return a number, or nothing where there is none."""
    return "" if pd.isna(value) else f"{value:{form}}"


def accuracies(rows: pd.DataFrame, shipped: pd.DataFrame) -> str:
    """Return the accuracy of every method per case, and what the guard shipped."""
    table, what = means(rows, "accuracy"), _shipped_most(shipped)
    lines = [
        [
            _name(case),
            *(
                number(value) + (what.get(case, "") if method == GUARDED else "")
                for method, value in row.items()
            ),
        ]
        for case, row in table.iterrows()
    ]
    return markdown(["case", *(NAMES.get(name, name) for name in table)], lines)


def _name(case: object) -> str:
    assert isinstance(case, tuple)
    return f"{case[1]}, {case[2]}" if case[2] else str(case[1])


def _shipped_most(shipped: pd.DataFrame) -> dict[object, str]:
    """Return the candidate shipped most often, and the mean strength, per case."""
    if shipped.empty:
        return {}
    return {
        case: f" ({part['candidate'].mode()[0].removeprefix('lp_clip_')}, "
        f"{part['strength'].mean():.2g})"
        for case, part in shipped.groupby(CASE, sort=False)
    }


def gains(rows: pd.DataFrame, shipped: pd.DataFrame) -> str:
    """Return the gains of every method per case, with the interval of the guarded head's."""
    table, what = means(rows, "gain"), _shipped_most(shipped)
    zero = means(rows, "accuracy")[ZERO_SHOT]
    own = rows[rows["method"] == GUARDED].groupby(CASE, sort=False)
    low, high = (100 * own[name].first() for name in ("gain_low", "gain_high"))
    best = table[_present(table, LABEL_FREE)].max(axis=1).clip(lower=0)
    methods = [name for name in table if name != ZERO_SHOT]
    lines = []
    for case, row in table.iterrows():
        cells = {name: number(row[name], "+.1f") for name in methods}
        if cells.get(GUARDED):
            interval = f" [{low[case]:+.1f}, {high[case]:+.1f}]" if pd.notna(low[case]) else ""
            cells[GUARDED] = f"**{cells[GUARDED]}**{interval}{what.get(case, '')}"
        lines.append([_name(case), number(zero[case]), *cells.values(), number(best[case], "+.1f")])
    names = (NAMES.get(name, name) for name in methods)
    return markdown(["case", NAMES[ZERO_SHOT], *names, "best label-free"], lines)


def _present(table: pd.DataFrame, names: Sequence[str]) -> list[str]:
    return [name for name in names if name in table]


def harm(rows: pd.DataFrame) -> str:
    """Return the mean gain over the sets and that of the worst, per unlabelled set and method."""
    table = means(rows, "gain").drop(columns=ZERO_SHOT, errors="ignore")
    lines = []
    for pool, part in table.groupby(level="pool", sort=False):
        cells = ["" if part[name].isna().all() else _with_worst(part[name]) for name in part]
        lines.append([str(pool), str(len(part)), *cells])
    names = (NAMES.get(name, name) for name in table)
    return markdown(["unlabelled set", "sets", *names], lines)


def _with_worst(values: "pd.Series[float]") -> str:
    return f"{values.mean():+.1f} ({values.min():+.1f})"


def detection(ood: pd.DataFrame) -> str:
    """Return the means over cases and seeds of the better score in each case and group."""
    by = ood.groupby(["case", "group", "method", "score"], sort=False)
    scores = by[["auroc", "fpr95_id_pos"]].mean()
    best = scores.groupby(["case", "group", "method"], sort=False).agg(
        auroc=("auroc", "max"), fpr95=("fpr95_id_pos", "min")
    )
    groups = 100 * best.groupby(["group", "method"], sort=False).mean()
    overall = 100 * best.groupby("method", sort=False).mean()
    lines = [
        [
            str(method),
            *(
                number(value)
                for part in (groups.loc["near"], groups.loc["far"], overall)
                for value in part.loc[method]
            ),
        ]
        for method in overall.index
    ]
    head = [f"{part} {score}" for part in ("near", "far", "mean") for score in ("AUROC", "FPR95")]
    return markdown(["head", *head], lines)


def key_figures(rows: pd.DataFrame, shipped: pd.DataFrame) -> Iterator[str]:
    """Yield a sentence for each of the figures that sum the battery up."""
    if rows.empty:
        return
    table = means(rows, "gain")
    yield f"{len(table)} cases of {rows['images'].nunique()} kinds of images"
    yield from _safety(rows, table)
    yield from _kept(table)
    yield from _against_peers(table)
    yield from _calibration(rows, shipped)
    yield from _intervals(rows, shipped)
    yield from _cost(rows)


def _safety(rows: pd.DataFrame, table: pd.DataFrame) -> Iterator[str]:
    """Yield the worst case of every method, and the worst seed of the guarded one."""
    for name in table:
        if name in (ZERO_SHOT, SUPERVISED):
            continue
        own = table[name].dropna()
        text = f"{NAMES.get(name, name)}: worst case {own.min():+.1f} ({_name(own.idxmin())}), "
        text += f"{(own < -WORTH).sum()} of {len(own)} cases lose more than {WORTH}"
        if name == GUARDED:
            seeds = 100 * rows[rows["method"] == name].set_index([*CASE, "seed"])["gain"]
            case, seed = seeds.idxmin()[:-1], seeds.idxmin()[-1]
            text += f"; worst seed {seeds.min():+.1f} ({_name(case)}, seed {seed})"
        yield text


def _kept(table: pd.DataFrame) -> Iterator[str]:
    """Yield the share of the best label-free method's gain that is shipped."""
    if GUARDED not in table:
        return
    for title, against in (("all, peers included", LABEL_FREE), ("its own", tuple(SELF_TRAINED))):
        best = table[_present(table, against)].max(axis=1)
        share = (table[GUARDED] / best)[best > WORTH]
        if share.empty:
            continue
        by = share.groupby(level="table", sort=False).mean()
        parts = ", ".join(f"{name} {value:.0%}" for name, value in by.items())
        share = share[share.index.get_level_values("table") != "harm"]
        yield (
            f"share of the best label-free method's gain that {GUARDED} keeps, of {title}, where "
            f"it is above {WORTH}: {share.mean():.0%} over {len(share)} cases without those of "
            f"harm ({parts})"
        )


def _against_peers(table: pd.DataFrame) -> Iterator[str]:
    """Yield lp_clip_auto and the guarded head against the peers, tidy and transductive."""
    genuine = table[table.index.get_level_values("table") == "genuine"]
    pools = genuine.index.get_level_values("pool")
    peers = _present(table, WITH_HEAD)
    for method in _present(table, ("lp_clip_auto", GUARDED)):
        tidy = genuine[pools == "tidy"]
        if len(tidy) and peers:
            lead = tidy[method] - tidy[peers].max(axis=1)
            parts = ", ".join(f"{case[1]} {value:+.1f}" for case, value in lead.items())
            best = tidy[peers].mean()
            yield (
                f"{method} against the best peer, tidy, per set: {parts}; on average "
                f"{tidy[method].mean() - best.max():+.1f} against {NAMES[best.idxmax()]}"
            )
        for title, chosen in (
            ("transductive", pools.str.startswith("transductive") & ~pools.str.endswith("10:1")),
            (
                "transductive, 10:1",
                pools.str.startswith("transductive") & pools.str.endswith("10:1"),
            ),
        ):
            part = genuine[chosen]
            if part.empty:
                continue
            found = (part[method].mean() - part[_present(part, PEERS)].mean()).sort_values()
            text = ", ".join(f"{NAMES[name]} {value:+.1f}" for name, value in found.items())
            yield f"{method} less each peer, {title}, mean of {len(part)} sets: {text}"


def _calibration(rows: pd.DataFrame, shipped: pd.DataFrame) -> Iterator[str]:
    """Yield how far what is shipped is from calibrated, less what chance shows."""
    excess = means(rows.assign(excess=rows["ece"] - rows["ece_calibrated"]), "excess")
    genuine = excess[excess.index.get_level_values("table") == "genuine"]
    if GUARDED not in excess or genuine.empty or shipped.empty:
        return
    more = (genuine[GUARDED] - genuine[ZERO_SHOT]).dropna()
    strength = shipped.groupby(CASE, sort=False)["strength"].mean()
    adapted = genuine[genuine.index.map(strength).to_numpy() > 0]
    share = adapted[GUARDED].mean() / adapted[ZERO_SHOT].mean()
    yield (
        f"ECE beyond that of a calibrated head, genuine cases: guarded less zero-shot at most "
        f"{more.max():+.1f} points ({_name(more.idxmax())}), {(more > WORTH).sum()} of {len(more)} "
        f"cases above {WORTH}; where a head is adapted {share:.0%} of zero-shot's on average "
        f"({len(adapted)} cases)"
    )


def _intervals(rows: pd.DataFrame, shipped: pd.DataFrame) -> Iterator[str]:
    """Yield how often the true gain of what was shipped lies in the stated interval."""
    if shipped.empty:
        return
    own = rows[rows["method"] == GUARDED].set_index([*CASE, "seed"])["gain"]
    found = shipped[shipped["strength"] > 0].join(own, on=[*CASE, "seed"])
    below = found["gain"] < found["gain_low"] - 1e-9
    above = found["gain"] > found["gain_high"] + 1e-9
    width = 100 * (found["gain_high"] - found["gain_low"])
    if len(found):
        yield (
            f"the true gain lies in the stated interval in {1 - (below | above).mean():.0%} of "
            f"{len(found)} adapted cases and seeds, below it in {below.mean():.0%}, above in "
            f"{above.mean():.0%}; median width {width.median():.1f} points; mean error of the "
            f"estimate {100 * np.abs(found['gain'] - found['estimated_gain']).mean():.1f}"
        )


def _cost(rows: pd.DataFrame) -> Iterator[str]:
    """Yield the time of the guarded method over that of the methods that it trains."""
    seconds = rows.pivot_table(index=CASE, columns="method", values="seconds", aggfunc="mean")
    trained = [*SELF_TRAINED, "transclip", "stata"]
    if {GUARDED, *trained} <= {*seconds}:
        ratio = (seconds[GUARDED] / seconds[trained].sum(axis=1)).dropna()
        yield f"{GUARDED} takes {ratio.median():.2f} times as long as its candidates (median case)"


def without_themselves(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out the harm that is measured on the unlabelled sets themselves."""
    of_harm = table.index.get_level_values("table") == "harm"
    return table[~(of_harm & table.index.get_level_values("pool").str.endswith(THEMSELVES))]
