"""Print the results of `development.py settings` as a Markdown table: one change at a time.

python benchmarks/development.py settings --every 7 && python benchmarks/show_settings.py
"""

import argparse
from pathlib import Path

import pandas as pd

TABLE = Path(__file__).parent / "results/development_settings.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("table", type=Path, nargs="?", default=TABLE, help="table to show instead")
    table = pd.read_csv(parser.parse_args().table)
    gains = [name for name in map(str, table.columns) if name.startswith("gain_")]
    table["best"] = table[gains].max(axis=1).clip(lower=0)
    table["pen"] = table["case"].str.startswith("pen")
    base = table[table["change"] == "recommended"].set_index("case")
    print("| change | full | difference ± | best | best, font | best, pen | worst full |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for change, rows in table.groupby("change", sort=False):
        full = rows.set_index("case")["gain_1"]
        difference = full - base["gain_1"]
        numbers = [
            full.mean(),
            rows["best"].mean(),
            rows.loc[~rows["pen"], "best"].mean(),
            rows.loc[rows["pen"], "best"].mean(),
            full.min(),
        ]
        cells = [f"{100 * number:+.2f}" for number in numbers]
        error = difference.std() / len(difference) ** 0.5
        cells.insert(1, f"{100 * difference.mean():+.2f} ± {100 * error:.2f}")
        print(f"| {change} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
