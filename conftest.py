"""What all tests share: one thread per process, and files for the examples in docstrings."""

import logging
import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

# No module of tests: Python imports it by itself, and some systems have another one of its name.
collect_ignore = ["tests/helpers/site"]


def pytest_collection_modifyitems(items):
    """Whole runs first: a file of them that came last would keep one process busy for long."""
    items.sort(key=lambda item: "workflow" not in item.path.parts)


@pytest.fixture(autouse=True)
def _logs(monkeypatch):
    """Whatever a command did in this process before: logs reach those who look at them, once."""
    monkeypatch.setattr(logging.getLogger("lpclip"), "propagate", True)


@pytest.fixture(autouse=True)
def _examples(request, tmp_path_factory, monkeypatch):
    """Examples in docstrings run beside files that have the names of the default's."""
    if isinstance(request.node, pytest.DoctestItem):
        folder = tmp_path_factory.mktemp("example")
        if "import lpclip\n" in {example.source for example in request.node.dtest.examples}:
            _write_example_run(folder)
        monkeypatch.chdir(folder)


def _write_example_run(folder: Path) -> None:
    import numpy as np
    import pandas as pd

    from lpclip.methods.training.rounds import Round, rounds_table
    from lpclip.storage.features import write_features
    from lpclip.storage.probes import Probes, write_probes
    from lpclip.storage.samples import fingerprint, write_samples

    samples = pd.DataFrame(
        {
            "id": [f"test-{number:04d}" for number in range(3)],
            "path": [f"digits/{898 + number}.png" for number in range(3)],
            "label": np.int32([8, 8, 9]),
        }
    )
    index = {"dataset": "digits-test", "index": fingerprint(samples)}
    model = {"model": "tiny", "weights": "3f9a"}
    write_samples(folder / "cache/data/digits-test/samples.h5", samples, index)
    write_features(
        folder / "cache/tiny/images/digits-test/clean.h5",
        samples=samples,
        versions={"clean": 0},
        parts=[np.array([[[2, 0, 0], [3, 4, 0], [0, 3, -4]]], dtype=np.float16)],
        provenance={**index, **model},
    )
    zero_shot = np.eye(2, 3, dtype=np.float32)
    adapted = np.array([[1, 0.5, 0], [0, 0.5, -1]], dtype=np.float32)
    probes = Probes(
        weight=np.stack([[zero_shot] * 2, [adapted] * 2]),
        bias=np.zeros((2, 2, 2), np.float32),
        scale=20.0,
        class_names=("eight", "nine"),
        seeds=(0, 1),
        rounds=rounds_table([Round(number, seed) for number in (0, 1) for seed in (0, 1)]),
    )
    names = {"benchmark": "digits", "method": "lp_clip"}
    write_probes(folder / "results/tiny/digits/lp_clip/probes.h5", probes, {**model, **names})
    (folder / "results/report.csv").write_text(
        "model,benchmark,method,n_labels,n_seeds,student_view,strong_policy,corruption_source,"
        "frost_texture,worst_corruption,accuracy,accuracy_std\n"
        "tiny,digits,zero_shot,0,1,,,,,,0.76,\n"
        "tiny,digits,lp_clip,0,2,strong,disjoint,,,,0.86,0.01\n"
    )
