"""Random numbers depend only on (seed, id, view) and have the right distributions."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from lpclip.utils import rng

IDS = [f"digit-{i:04d}" for i in range(60)]
DRAWS: dict[str, Callable[[rng.Stream], Tensor]] = {
    "uniform": lambda s: s.uniform(3, 7),
    "one per sample": lambda s: s.uniform(low=-2, high=3),
    "normal": lambda s: s.normal(3, 7),
    "integers": lambda s: s.integers(5, low=-2, high=9),
    "flat_dirichlet": lambda s: s.flat_dirichlet(3),
    "pick": lambda s: s.pick(rng.poisson_table([0.5, 4.0]), torch.ones(len(s.keys), 6).long()),
}


def stream(n: int = 60, view: str = "weak", seed: int = 0) -> rng.Stream:
    return rng.Stream(rng.keys(seed, [f"digit-{i:04d}" for i in range(n)], view))


def test_keys_are_the_bits_of_sample_key():
    keys = rng.keys(3, IDS, "strong/1")
    assert [k % 2**64 for k in keys.tolist()] == [rng.sample_key(3, i, "strong/1") for i in IDS]


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS.keys())
def test_draws_do_not_depend_on_the_batch_or_its_order(draw):
    keys = rng.keys(0, IDS, "weak")
    whole = draw(rng.Stream(keys))
    for rows in ([0], [5, 3], list(range(17, 50)), list(range(60))[::-1]):
        assert torch.equal(draw(rng.Stream(keys[rows])), whole[rows])
        assert torch.equal(
            draw(rng.Stream(rng.keys(0, [IDS[i] for i in rows], "weak"))), whole[rows]
        )


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS.keys())
def test_draws_differ_between_seeds_views_and_substreams(draw):
    same = draw(stream())
    assert torch.equal(draw(stream()), same)
    for other in (stream(seed=1), stream(view="strong"), stream()["shift"], stream()[0]):
        assert not torch.equal(draw(other), same)


def test_draws_do_not_depend_on_the_number_of_threads():
    threads = torch.get_num_threads()
    one = stream().normal(3, 64, 64)
    try:
        torch.set_num_threads(2)
        two = stream().normal(3, 64, 64)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(one, two)


def test_uniform_numbers_are_uniform():
    numbers = stream().uniform(999).flatten().numpy()
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert stats.kstest(numbers, "uniform").pvalue > 0.01


def test_normal_numbers_are_normal():
    numbers = stream().normal(999).flatten().numpy()
    assert np.isfinite(numbers).all()
    assert stats.kstest(numbers, "norm").pvalue > 0.01


def test_integers_are_uniform():
    numbers = stream().integers(1000, low=-3, high=4).flatten()
    counts = torch.bincount(numbers + 3)
    assert len(counts) == 7
    assert stats.chisquare(counts.numpy()).pvalue > 0.01


def test_flat_dirichlet_has_beta_margins_and_sums_to_one():
    points = stream(2000).flat_dirichlet(3)
    assert torch.allclose(points.sum(dim=1), torch.ones(2000))
    for k in range(3):
        assert stats.kstest(points[:, k].numpy(), stats.beta(1, 2).cdf).pvalue > 0.01


@pytest.mark.parametrize("rate", [0.0, 0.3, 3.0, 25.0, 500.0])
def test_poisson_numbers_follow_the_poisson_distribution(rate):
    rates = [1.5, rate]  # the second row of the table is used
    numbers = stream().pick(rng.poisson_table(rates), torch.ones(60, 1000).long()).flatten().numpy()
    cuts = stats.poisson.ppf(np.linspace(0.05, 0.95, 10), rate)
    edges = np.unique(np.concatenate([[-1], cuts, [np.inf]]))
    observed = np.histogram(numbers, bins=edges + 0.5)[0]
    expected = len(numbers) * np.diff(stats.poisson.cdf(edges, rate))
    keep = expected > 0
    assert observed[~keep].sum() == 0
    if keep.sum() > 1:
        assert stats.chisquare(observed[keep], expected[keep]).pvalue > 0.01
    else:
        assert (numbers == 0).all()


def test_alias_table_gives_back_its_probabilities():
    mass = np.random.default_rng(0).dirichlet(np.full(9, 0.3), size=4)
    rows = torch.arange(4).repeat(60, 2000, 1)
    numbers = stream().pick(rng.alias_table(mass), rows)
    for row in range(4):
        counts = torch.bincount(numbers[..., row].flatten(), minlength=9).numpy()
        assert np.abs(counts / counts.sum() - mass[row]).max() < 0.006


def test_neighbouring_ids_and_counters_are_uncorrelated():
    numbers = stream(400).normal(400).double()
    bound = 4 / 400  # four standard deviations of a correlation over 400 x 400 numbers
    for a, b in ((numbers[1:], numbers[:-1]), (numbers[:, 1:], numbers[:, :-1])):
        assert abs(float((a * b).mean())) < bound
        assert abs(float((a**2 * b**2).mean()) - 1) < 8 * bound
    halves = numbers[:, :200], numbers[:, 200:]  # the two numbers of one Box-Muller pair
    assert abs(float((halves[0] * halves[1]).mean())) < 2 * bound
    substreams = stream(400)["x"].normal(400), stream(400)["y"].normal(400)
    assert abs(float((substreams[0] * substreams[1]).mean())) < bound


def test_every_bit_of_a_word_is_a_fair_coin():
    words = stream(200).words(200).flatten()
    share = torch.stack([((words >> bit) & 1).double().mean() for bit in range(64)])
    assert float((share - 0.5).abs().max()) < 4 * 0.5 / 200
