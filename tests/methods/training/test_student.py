"""The student equals plain PyTorch, for every seed as if trained alone."""

from dataclasses import replace

import pytest
import torch

from lpclip.methods.training.settings import Optimisation
from lpclip.methods.training.student import _dropout, train_student

V, N, C, D = 2, 30, 3, 8
SCALE = 10.0
SHORT = Optimisation(epochs=4, batch_size=16, learning_rate=0.01)


def problem(n_seeds=3, share=0.7):
    """Return views, hard targets and selection of each seed, from separate generators."""
    g = torch.Generator().manual_seed(0)
    views = torch.nn.functional.normalize(torch.randn(V, N, D, generator=g), dim=-1)
    classes = torch.randint(C, (n_seeds, N), generator=g)
    selected = torch.rand(n_seeds, N, generator=g) < share
    head = torch.nn.functional.normalize(torch.randn(C, D, generator=g), dim=-1)
    return views, torch.nn.functional.one_hot(classes, C).float(), selected, head


def train(views, targets, selected, head, optimisation=SHORT, *, seeds=None, start=None):
    seeds = list(range(len(targets))) if seeds is None else seeds
    weight = head.expand(len(seeds), C, D) if start is None else start
    return train_student(
        views,
        targets,
        selected,
        start=(weight, torch.zeros(len(seeds), C)),
        anchor_weight=head,
        scale=SCALE,
        optimisation=optimisation,
        generators=[torch.Generator().manual_seed(seed) for seed in seeds],
    )


def mean_loss(student, views, targets, rows, seed_index=0):
    linear = SCALE * views[:, rows] @ student.weight[seed_index].T + student.bias[seed_index]
    return -(targets[seed_index, rows] * linear.log_softmax(-1)).sum(-1).mean()


@pytest.mark.parametrize(
    "optimisation",
    [SHORT, replace(SHORT, epochs=12, patience=2, held_out=0.3, anchor=0.5, weight_decay=0.1)],
)
def test_a_seed_alone_equals_the_same_seed_among_three(optimisation):
    views, targets, selected, head = problem()
    together = train(views, targets, selected, head, optimisation)
    for seed in range(3):
        one = slice(seed, seed + 1)
        alone = train(views, targets[one], selected[one], head, optimisation, seeds=[seed])
        assert torch.equal(alone.weight[0], together.weight[seed])
        assert torch.equal(alone.bias[0], together.bias[seed])
        assert torch.equal(alone.loss[0], together.loss[seed])
        assert alone.epochs[0] == together.epochs[seed]
    assert not torch.equal(together.weight[0], together.weight[1])


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    views, targets, selected, head = problem(1)
    one, two, other = (train(views, targets, selected, head, seeds=[s]) for s in (5, 5, 6))
    assert torch.equal(one.weight, two.weight)
    assert not torch.equal(one.weight, other.weight)


def test_training_is_that_of_a_plain_linear_layer():
    views, targets, selected, head = problem(1, share=1.0)
    optimisation = replace(SHORT, weight_decay=0.05)
    found = train(views, targets, selected, head, optimisation, seeds=[4])

    linear = torch.nn.Linear(D, C)
    with torch.no_grad():
        linear.weight.copy_(head)
        linear.bias.zero_()
    optimiser = torch.optim.AdamW(linear.parameters(), lr=0.01, weight_decay=0.05)
    generator = torch.Generator().manual_seed(4)
    flat, classes = views.reshape(V * N, D), targets[0].argmax(-1).repeat(V)
    for _ in range(4):
        losses = []
        for rows in torch.randperm(V * N, generator=generator).split(16):
            logits = SCALE * flat[rows] @ linear.weight.T + linear.bias
            loss = torch.nn.functional.cross_entropy(logits, classes[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.detach() * len(rows))
    torch.testing.assert_close(found.weight[0], linear.weight.detach(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.bias[0], linear.bias.detach(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.loss[0], sum(losses) / (V * N), rtol=1e-4, atol=1e-6)
    assert (found.weight[0] - head).abs().max() > 0.02


def test_soft_targets_are_learned_as_distributions():
    views, _, selected, head = problem(1, share=1.0)
    targets = torch.full((1, N, C), 1 / C)
    found = train(views, targets, selected, head, replace(SHORT, epochs=200))
    probabilities = (SCALE * views @ found.weight[0].T + found.bias[0]).softmax(-1)
    assert (probabilities - 1 / C).abs().max() < 0.05
    assert ((SCALE * views @ head.T).softmax(-1) - 1 / C).abs().max() > 0.3


def test_samples_that_were_not_kept_have_no_effect():
    views, targets, selected, head = problem(1)
    before = train(views, targets, selected, head)
    views, targets = views.clone(), targets.clone()
    views[:, ~selected[0]] = views[:, ~selected[0]].flip(-1)
    targets[:, ~selected[0]] = targets[:, ~selected[0]].roll(1, -1)
    assert torch.equal(train(views, targets, selected, head).weight, before.weight)
    targets[:, selected[0]] = targets[:, selected[0]].roll(1, -1)
    assert not torch.equal(train(views, targets, selected, head).weight, before.weight)


def test_without_a_kept_sample_the_start_stays():
    views, targets, selected, head = problem(2)
    selected[0] = False
    found = train(views, targets, selected, head)
    assert torch.equal(found.weight[0], head)
    assert found.loss[0].isnan()
    assert not torch.equal(found.weight[1], head)


def test_the_anchor_pulls_towards_the_zero_shot_weights():
    views, targets, selected, head = problem(1)
    long = replace(SHORT, epochs=60)
    distance = [
        (train(views, targets, selected, head, replace(long, anchor=a)).weight[0] - head).norm()
        for a in (0.0, 1.0, 100.0)
    ]
    assert distance[0] > 1.5 * distance[1] > 2 * distance[2]


def test_weight_decay_pulls_towards_zero():
    views, targets, selected, head = problem(1)
    strong = replace(SHORT, epochs=60, weight_decay=5.0)
    found = train(views, targets, selected, head, strong).weight.norm()
    assert (
        found < 0.8 * train(views, targets, selected, head, replace(SHORT, epochs=60)).weight.norm()
    )


def test_patience_keeps_the_best_pass_by_the_held_out_pseudo_labels():
    """Train on random targets: the held-out loss rises while the training loss falls."""
    views, targets, selected, head = problem(1, share=1.0)
    stopping = replace(SHORT, epochs=40, patience=3, held_out=0.4, learning_rate=0.02)
    start = torch.zeros(1, C, D)
    found = train(views, targets, selected, head, stopping, start=start)
    held = torch.rand(N, generator=torch.Generator().manual_seed(0)) < 0.4
    assert 3 <= found.epochs[0] < 40
    kept = mean_loss(found, views, targets, held)

    # Without its last ``patience`` passes, a run that cannot stop ends where the best pass was.
    passes = [
        train(
            views,
            targets,
            selected,
            head,
            replace(stopping, epochs=epochs, patience=epochs + 1),
            start=start,
        )
        for epochs in range(1, int(found.epochs[0]) + 1)
    ]
    losses = torch.stack([mean_loss(one, views, targets, held) for one in passes])
    assert kept == losses.min()
    assert int(losses.argmin()) + 1 == found.epochs[0] - 3


def test_no_patience_trains_every_pass_on_every_kept_sample():
    views, targets, selected, head = problem(1)
    found = train(views, targets, selected, head, replace(SHORT, epochs=7))
    assert found.epochs.tolist() == [7]
    longer = train(views, targets, selected, head, replace(SHORT, epochs=8))
    assert not torch.equal(found.weight, longer.weight)


def test_seeds_together_keep_the_pass_that_is_best_for_their_mean():
    views, targets, selected, head = problem(2)
    patient = replace(SHORT, epochs=30, learning_rate=0.1, patience=2, held_out=0.4)
    common = {
        "start": (head.expand(2, C, D), torch.zeros(2, C)),
        "anchor_weight": head,
        "scale": SCALE,
        "optimisation": patient,
    }
    apart, joint = (
        train_student(
            views,
            targets,
            selected,
            generators=[torch.Generator().manual_seed(seed) for seed in (0, 5)],
            together=together,
            **common,
        )
        for together in (1, 2)
    )
    assert joint.epochs[0] == joint.epochs[1]
    assert apart.epochs[0] != apart.epochs[1]


def test_dropout_leaves_the_rate_of_features_out_and_keeps_the_mean():
    generators = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    factors = _dropout(torch.Size([2, 500, 40]), 0.25, generators)
    assert torch.isclose(factors.max(), torch.tensor(1 / 0.75))
    assert abs((factors == 0).float().mean() - 0.25) < 0.02
    assert not torch.equal(factors[0], factors[1])


@pytest.mark.parametrize("patience", [0, 2])
def test_classes_are_learned_as_the_distributions_that_are_sure_of_them(patience):
    views, targets, selected, head = problem()
    optimisation = replace(SHORT, patience=patience, held_out=0.3)
    sure = train(views, targets, selected, head, optimisation)
    classes = train(views, targets.argmax(-1), selected, head, optimisation)
    torch.testing.assert_close(classes.weight, sure.weight)
    torch.testing.assert_close(classes.loss, sure.loss)
    other = train(views, (targets.argmax(-1) + 1) % C, selected, head, optimisation)
    assert not torch.allclose(other.weight, sure.weight, atol=1e-3)
