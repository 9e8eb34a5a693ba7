"""Peak memory of every stage after extraction, by the number of images.

    python benchmarks/speed/stage_memory.py --images 20000 80000 320000

Features are noise around random class centres; the test set is the unlabelled set itself, so that
every stage grows with it, and OOD images are 10,000. Views: clean, 4 weak and 4 strong. Training is
one seed, one round of one pass, with the rest of the settings as by default; the probes that are
evaluated are zero-shot's. Each stage runs in its
own process, as in the workflow. Writes ``results/stage_memory.csv``: peak resident memory of the
process, seconds of the clock and of the processor.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measure import peak_of, run_stage, write

from lpclip.storage.features import CHUNK_ROWS, normalise, write_features
from lpclip.storage.samples import fingerprint, read_samples, write_samples
from lpclip.storage.text import write_text
from lpclip.types import FloatArray

VIEWS, OOD = 4, 10_000
MODEL = {"model": "noise", "weights": "0"}
ONE_PASS = {"rounds": 1, "optimisation": {"epochs": 1}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--images", type=int, nargs="+", default=[20_000, 80_000, 320_000])
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        run_stage(STAGES[options.stage], options.work)
        return
    for stage, earlier in BEFORE.items():
        if stage in options.stages and earlier not in options.stages:
            parser.error(f"{stage} reads what {earlier} writes: add it to --stages.")
    for count in options.images:
        with tempfile.TemporaryDirectory() as folder:
            make_files(Path(folder), count, options.classes, options.dim)
            if set(options.stages) - EVALUATED:
                make_views(Path(folder), count)
            for stage in options.stages:
                peak, seconds, processor = peak_of(__file__, stage, folder)
                row = {
                    "stage": stage,
                    "images": count,
                    "classes": options.classes,
                    "dim": options.dim,
                    "peak_gb": peak,
                    "seconds": seconds,
                    "processor_seconds": processor,
                }
                write([row], "stage_memory", key=["stage", "images", "classes", "dim"])


def make_files(folder: Path, n: int, n_classes: int, dim: int) -> None:
    """Write text, index, clean images, OOD images and zero-shot's probes."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((n_classes, dim), dtype=np.float32)
    np.save(folder / "centres.npy", centres)
    names = [f"class {index}" for index in range(n_classes)]
    write_text(
        folder / "text.h5",
        features=normalise(centres + rng.standard_normal(centres.shape, dtype=np.float32)),
        class_names=names,
        provenance={**MODEL, "scale": 100.0, "bias": 0.0},
    )
    ids = [f"{index:07d}" for index in range(n)]
    labels = rng.integers(n_classes, size=n).astype(np.int32)
    samples = pd.DataFrame({"id": ids, "path": ids, "label": labels, "size": np.zeros(n, np.int64)})
    source = {"class_names": json.dumps(names), "source": json.dumps({"kind": "folder"})}
    about = {"dataset": "noise", "index": fingerprint(samples)}
    write_samples(folder / "samples.h5", samples, {**about, **source})
    write_cache(folder, "clean", samples, {"clean": 0}, centres)
    write_cache(folder, "ood", samples[:OOD], {"clean": 0}, 0 * centres)
    train("zero_shot", "probes")(folder)


def make_views(folder: Path, n: int) -> None:
    """Write the weak and strong views."""
    samples = read_samples(folder / "samples.h5", labels=True)
    versions = {"weak": VIEWS, "strong": VIEWS}
    write_cache(folder, "adapt", samples[:n], versions, np.load(folder / "centres.npy"))


def write_cache(
    folder: Path,
    name: str,
    samples: pd.DataFrame,
    versions: dict[str, int],
    centres: FloatArray,
) -> None:
    """Write images around the centres of their classes, a chunk at a time."""
    rng = np.random.default_rng(1)
    labels = samples["label"].to_numpy()

    def parts() -> Iterator[FloatArray]:
        for start in range(0, len(labels), CHUNK_ROWS):
            images = centres[labels[start : start + CHUNK_ROWS]]
            images = images + 2 * rng.standard_normal(images.shape, dtype=np.float32)
            shape = (sum(versions.values()) or 1, *images.shape)
            yield (images + rng.standard_normal(shape, dtype=np.float32)).astype(np.float16)

    write_features(
        folder / f"{name}.h5",
        samples=samples,
        versions=versions,
        parts=parts(),
        provenance={**MODEL, "dataset": name, "index": fingerprint(samples), "views": "{}"},
    )


def label(work: Path, prior: str = "auto") -> None:
    """Run the stage ``pseudo_labels``."""
    from lpclip.methods.labelling.pseudo_labels import pseudo_labels
    from lpclip.methods.labelling.settings import Labelling

    pseudo_labels(
        text=work / "text.h5",
        features=work / "adapt.h5",
        output=work / ("labels.h5" if prior == "auto" else f"labels_{prior}.h5"),
        labelling=Labelling() if prior == "auto" else Labelling(labels="soft", prior="sinkhorn"),
    )


def describe(work: Path) -> None:
    """Run the stage ``describe_pool``."""
    from lpclip.methods.pool import describe

    describe(
        text=work / "text.h5",
        features=work / "adapt.h5",
        clean=work / "clean.h5",
        test=work / "clean.h5",
        output=work / "pool.csv",
        classes=work / "pool_classes.csv",
        benchmark="noise",
    )


def train(kind: str, output: str, **settings: Any) -> Callable[[Path], None]:
    """Return the stage ``train_probe`` of a kind of method."""

    def run(work: Path) -> None:
        from lpclip.methods.registry import needs
        from lpclip.methods.train import train_probe

        files = {"pseudo_labels": "labels.h5"}
        train_probe(
            text=work / "text.h5",
            output=work / f"{output}.h5",
            benchmark="noise",
            method=kind,
            kind=kind,
            seeds=[0],
            settings=settings,
            **{name: work / files.get(name, f"{name}.h5") for name in needs(kind)},
        )

    return run


def evaluate(work: Path) -> None:
    """Run the stage ``evaluate`` on clean images."""
    from lpclip.evaluation.robustness import evaluate

    evaluate(
        probes=work / "probes.h5",
        features=work / "clean.h5",
        samples=work / "samples.h5",
        output=work / "robustness.csv",
    )


def evaluate_features(work: Path) -> None:
    """Run the stage ``evaluate_features``: 10,000 images against all, and as many OOD images."""
    from lpclip.evaluation.feature_detection import evaluate_features

    evaluate_features(
        adapt=work / "clean.h5",
        test=work / "ood.h5",
        features=work / "ood.h5",
        output=work / "ood_of_features.csv",
        curves=work / "curves_of_features.csv",
    )


def evaluate_ood(work: Path) -> None:
    """Run the stage ``evaluate_ood``."""
    from lpclip.evaluation.detection import evaluate_ood

    evaluate_ood(
        probes=work / "probes.h5",
        test=work / "clean.h5",
        features=work / "ood.h5",
        of_features=work / "ood_of_features.csv",
        curves_of_features=work / "curves_of_features.csv",
        output=work / "ood.csv",
        curves=work / "ood_curves.csv",
        dataset="ood",
        group="far",
    )


def evaluate_held_out(work: Path) -> None:
    """Run the stage ``evaluate_held_out``."""
    from lpclip.evaluation.held_out import evaluate_held_out

    evaluate_held_out(
        probes=work / "probes.h5", adapt=work / "clean.h5", output=work / "held_out.csv"
    )


def evaluate_rounds(work: Path) -> None:
    """Run the stage ``evaluate_rounds``."""
    from lpclip.evaluation.rounds import evaluate_rounds

    evaluate_rounds(
        probes=work / "probes.h5",
        test=work / "clean.h5",
        adapt_samples=work / "samples.h5",
        test_samples=work / "samples.h5",
        output=work / "rounds.csv",
        per_class=work / "per_class.csv",
        confusion=work / "confusion.csv",
    )


def evaluate_samples(work: Path) -> None:
    """Run the stage ``evaluate_samples``."""
    from lpclip.evaluation.paired import evaluate_samples

    evaluate_samples(
        probes=work / "probes.h5",
        features=[work / "clean.h5"],
        samples=[work / "samples.h5"],
        output=work / "comparisons.csv",
        reliability=work / "reliability.csv",
        predictions=work / "predictions.h5",
        test="clean",
    )


def gather(work: Path) -> None:
    """Run the stage ``predictions``."""
    from lpclip.evaluation.predictions import predictions

    predictions(parts=[work / "predictions.h5"], output=work / "all_predictions.h5")


STAGES: dict[str, Callable[[Path], None]] = {
    "pseudo_labels": label,
    "pseudo_labels_sinkhorn": lambda work: label(work, "sinkhorn"),
    "describe_pool": describe,
    "self_training": train("self_training", "trained", **ONE_PASS),
    "guarded": train(
        "guarded",
        "guarded",
        trained={"lp_clip_auto": ONE_PASS},
        candidates=["lp_clip_auto"],
        adapters=[],
    ),
    "stata": train("stata", "stata"),
    "transclip": train("transclip", "transclip"),
    "supervised": train("supervised", "supervised", max_iterations=1, c_steps=1),
    "evaluate": evaluate,
    "evaluate_features": evaluate_features,
    "evaluate_ood": evaluate_ood,
    "evaluate_held_out": evaluate_held_out,
    "evaluate_rounds": evaluate_rounds,
    "evaluate_samples": evaluate_samples,
    "predictions": gather,
}

# These need neither weak nor strong views.
EVALUATED = {name for name in STAGES if name.startswith("evaluate")} | {"predictions", "supervised"}
# Stages that read what another one writes.
BEFORE = {
    "self_training": "pseudo_labels",
    "guarded": "pseudo_labels",
    "evaluate_ood": "evaluate_features",
    "predictions": "evaluate_samples",
}

if __name__ == "__main__":
    main()
