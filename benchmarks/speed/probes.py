"""Probes trained in one batch and one after another; one probe compared with scikit-learn.

    python benchmarks/speed/probes.py [--device cuda]

Writes ``results/probes_{device}.csv``; the CPU's includes the comparison with scikit-learn.
Features are sampled around class means, such that a linear head classifies most of them correctly.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import torch
from measure import machine, seconds_of, write
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional

from lpclip.methods.training.labelled import OnLabels
from lpclip.methods.training.settings import Optimisation
from lpclip.methods.training.student import Student, train_student

SCALE = 100.0
LEARNING_RATE = OnLabels().learning_rate
ONE_PASS = Optimisation(epochs=1, learning_rate=LEARNING_RATE)
# Few large steps, for the comparison with L-BFGS, which has no step size to tune.
FAST = Optimisation(batch_size=1024, learning_rate=1e-2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--probes", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    features, labels = problem(options.samples, options.dim, options.classes)
    features, labels = features.to(options.device), labels.to(options.device)
    print(f"{torch.get_num_threads()} threads")
    rows = together(features, labels, n_probes=options.probes, repeats=options.repeats)
    if options.device == "cpu":
        rows += against_scikit_learn(features, labels)
    write([{**row, "machine": machine(options.device)} for row in rows], f"probes_{options.device}")


def problem(n: int, dim: int, n_classes: int) -> tuple[Tensor, Tensor]:
    """Return unit-length features ``[N, D]`` and classes ``[N]``."""
    draw = torch.Generator().manual_seed(0)
    means = functional.normalize(torch.randn(n_classes, dim, generator=draw), dim=1)
    labels = torch.randint(n_classes, (n,), generator=draw)
    noise = functional.normalize(torch.randn(n, dim, generator=draw), dim=1)
    features = functional.normalize(torch.randn(dim, generator=draw), dim=0) + noise
    return functional.normalize(features + 0.3 * means[labels], dim=1), labels


def train(
    features: Tensor,
    labels: Tensor,
    seeds: range,
    optimisation: Optimisation = ONE_PASS,
) -> Student:
    """Train one probe per seed, from zero weights."""
    n_classes = int(labels.max()) + 1
    weight = features.new_zeros(len(seeds), n_classes, features.shape[1])
    return train_student(
        features[None],
        labels.expand(len(seeds), -1),
        features.new_ones(len(seeds), len(features)),
        start=(weight, weight[..., 0]),
        anchor_weight=weight[0],
        scale=SCALE,
        optimisation=optimisation,
        generators=[torch.Generator().manual_seed(seed) for seed in seeds],
    )


def train_plainly(features: Tensor, labels: Tensor, seed: int) -> None:
    """Train one probe with the usual plain loop."""
    head = torch.nn.Linear(features.shape[1], int(labels.max()) + 1, device=features.device)
    optimiser = torch.optim.Adam(head.parameters(), lr=LEARNING_RATE * SCALE)
    draw = torch.Generator().manual_seed(seed)
    scaled = features * SCALE
    for rows in torch.randperm(len(features), generator=draw).split(256):
        rows = rows.to(features.device)
        optimiser.zero_grad()
        functional.cross_entropy(head(scaled[rows]), labels[rows]).backward()
        optimiser.step()


def together(
    features: Tensor, labels: Tensor, *, n_probes: int, repeats: int
) -> list[dict[str, Any]]:
    """Time one pass over the data for ``n_probes`` probes."""

    def finished(run: Callable[[], object]) -> Callable[[], None]:
        def timed() -> None:
            run()
            if features.is_cuda:
                torch.cuda.synchronize()

        return timed

    each = [partial(train, features, labels, range(seed, seed + 1)) for seed in range(n_probes)]
    seconds = seconds_of(
        {
            "single": finished(each[0]),
            "together": finished(partial(train, features, labels, range(n_probes))),
            "in turn": finished(lambda: [one() for one in each]),
            "plain loops": finished(
                lambda: [train_plainly(features, labels, seed) for seed in range(n_probes)]
            ),
        },
        repeats=repeats,
    )
    target = {"single": 4.0} if features.is_cuda else {"in turn": 0.7}
    return [
        {
            "what": f"{n_probes} probes together, over {'one' if peer == 'single' else 'them'}",
            "peer": peer,
            "seconds": seconds["together"],
            "peer_seconds": seconds[peer],
            "ratio": seconds["together"] / seconds[peer],
            "at_most": target.get(peer, float("nan")),
        }
        for peer in ("single", "in turn", "plain loops")
    ]


def against_scikit_learn(features: Tensor, labels: Tensor) -> list[dict[str, Any]]:
    """Time a probe until its loss on all samples reaches that of a converged regression."""
    scaled, classes = (features * SCALE).numpy(), labels.numpy()
    rows = []
    for c in (1e-4, 1e-2, 1.0):
        start = time.perf_counter()
        fitted = LogisticRegression(C=c, max_iter=1000).fit(scaled, classes)
        peer = time.perf_counter() - start
        logits = torch.from_numpy(scaled @ fitted.coef_.T.astype(np.float32) + fitted.intercept_)
        target = float(functional.cross_entropy(logits, labels))
        for epochs in (2**power for power in count()):
            start = time.perf_counter()
            probe = train(features, labels, range(1), replace(FAST, epochs=epochs))
            own = time.perf_counter() - start
            logits = SCALE * features @ probe.weight[0].T + probe.bias[0]
            if functional.cross_entropy(logits, labels) <= target or own > peer:
                break
        rows.append(
            {
                "what": f"one probe to the loss {target:.3g}, in {epochs} passes",
                "peer": f"LogisticRegression(C={c:g}), {fitted.n_iter_[0]} iterations",
                "seconds": own,
                "peer_seconds": peer,
                "ratio": own / peer,
                "at_most": 0.5,
            }
        )
    return rows


if __name__ == "__main__":
    main()
