"""Predictions for the images of a pool: evaluated where these are tested, refused elsewhere."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from lpclip.cli.export import export
from lpclip.cli.predict import predict
from lpclip.errors import LpclipError
from lpclip.evaluation.detection import evaluate_ood
from lpclip.evaluation.held_out import evaluate_held_out
from lpclip.evaluation.paired import evaluate_samples
from lpclip.evaluation.robustness import evaluate
from lpclip.evaluation.rounds import evaluate_rounds
from lpclip.methods.kinds import wise_ft
from lpclip.methods.training.rounds import Round, rounds_table
from lpclip.storage.features import write_features
from lpclip.storage.probe import load_probe
from lpclip.storage.probes import Probes, write_probes
from lpclip.storage.samples import fingerprint, write_samples
from lpclip.storage.text import ZeroShotHead

N, C, D, SEEDS = 80, 4, 6, (2, 5)
NAMES = ("a", "b", "c", "d")
MODEL = {"model": "tiny", "weights": "77c1"}


class World:
    """A test set `pool`, one `other` with the same ids, and probes of three methods."""

    def __init__(self, folder):
        rng = np.random.default_rng(0)
        self.folder, self.labels = folder, rng.integers(0, C, N)
        self.samples = pd.DataFrame(
            {
                "id": [f"row-{row}" for row in range(N)],
                "path": [str(row) for row in range(N)],
                "label": self.labels.astype(np.int32),
            }
        )
        self.index = fingerprint(self.samples)
        source = {"source": '{"kind": "folder"}', "class_names": '["a", "b", "c", "d"]'}
        for name in ("pool", "other"):
            about = {"dataset": name, "index": self.index}
            write_samples(folder / f"{name}.samples.h5", self.samples, {**about, **source})
        self.values = np.eye(C, D)[self.labels] + 0.6 * rng.normal(size=(N, D))
        self.write("pool", "clean", self.values)
        self.write("other", "clean", self.values)
        self.write("pool", "fog", self.values + 0.3 * rng.normal(size=(N, D)))
        # Likely right, and different for each seed.
        own = np.eye(C)[self.labels] + rng.dirichlet([0.5] * C, size=(len(SEEDS), N))
        self.probabilities = own / own.sum(axis=-1, keepdims=True)
        weight = np.stack([np.eye(C, D), rng.normal(size=(C, D))]).astype(np.float32)
        self.heads = Probes(
            weight=np.repeat(weight[:, None], len(SEEDS), axis=1),
            bias=np.zeros((2, len(SEEDS), C), np.float32),
            scale=7.0,
            class_names=NAMES,
            seeds=SEEDS,
            rounds=rounds_table([Round(round, seed) for round in (0, 1) for seed in SEEDS]),
        )
        both = replace(self.heads, pool_probabilities=self.probabilities)
        alone = replace(both, weight=both.weight[:1], bias=both.bias[:1])
        for method, probes in (("head", self.heads), ("both", both), ("alone", alone)):
            pool = {"pool_dataset": "pool", "pool_index": self.index} if method != "head" else {}
            about = {**MODEL, **pool, "benchmark": "shapes", "method": method}
            write_probes(self.probes(method), probes, {**about, "method_kind": method})

    def write(self, dataset, view, values):
        stored = values[None] if view == "clean" else np.stack([values] * 5)
        about = {"dataset": dataset, "index": self.index, "views": f'{{"{view}": {{}}}}'}
        write_features(
            self.cache(dataset, view),
            samples=self.samples,
            versions={view: 0 if view == "clean" else 5},
            parts=[stored.astype(np.float16)],
            provenance={**MODEL, **about},
        )

    def cache(self, dataset, view="clean"):
        return self.folder / f"{dataset}-{view}.h5"

    def probes(self, method):
        return self.folder / f"{method}.h5"

    def evaluated(self, method, dataset="pool", view="clean"):
        output = self.folder / "out.csv"
        evaluate(
            probes=self.probes(method),
            features=self.cache(dataset, view),
            samples=self.folder / f"{dataset}.samples.h5",
            output=output,
        )
        return pd.read_csv(output)

    def compared(self, method):
        paths = {name: self.folder / name for name in ("c.csv", "r.csv", "p.h5")}
        evaluate_samples(
            probes=self.probes(method),
            features=[self.cache("pool")],
            samples=[self.folder / "pool.samples.h5"],
            output=paths["c.csv"],
            reliability=paths["r.csv"],
            predictions=paths["p.h5"],
            test="pool",
        )
        return paths


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("pool"))


@pytest.mark.parametrize("method", ["alone", "both"])
def test_the_clean_pool_is_evaluated_by_what_the_method_predicts_for_it(world, method):
    table = world.evaluated(method)
    assert table["seed"].tolist() == list(SEEDS)
    for own, (_, row) in zip(world.probabilities, table.iterrows(), strict=True):
        assert row["n"] == N
        assert row["accuracy"] == metrics.accuracy_score(world.labels, own.argmax(axis=1))
        assert row["nll"] == pytest.approx(metrics.log_loss(world.labels, own), rel=2e-3)
        assert row["confidence"] == pytest.approx(own.max(axis=1).mean(), abs=1e-3)
    assert table["accuracy"].min() > world.evaluated("head")["accuracy"].max()


def test_a_probability_of_0_is_no_infinite_loss(world):
    sure = np.stack([np.eye(C)[np.roll(world.labels, 1)]] * len(SEEDS))
    alone = replace(
        world.heads, weight=world.heads.weight[:1], bias=world.heads.bias[:1],
        pool_probabilities=sure,
    )  # fmt: skip
    about = {**MODEL, "pool_dataset": "pool", "pool_index": world.index}
    write_probes(world.probes("sure"), alone, {**about, "benchmark": "b", "method": "sure"})
    row = world.evaluated("sure").iloc[0]
    wrong = np.mean(np.roll(world.labels, 1) != world.labels)
    assert row["accuracy"] == pytest.approx(1 - wrong)
    assert row["nll"] == pytest.approx(wrong * 25 * np.log(2), rel=1e-3)


def test_other_images_and_views_are_evaluated_by_the_head_where_there_is_one(world):
    for place in (("other", "clean"), ("pool", "fog")):
        by_head, both = (world.evaluated(method, *place) for method in ("head", "both"))
        pd.testing.assert_frame_equal(both.drop(columns="method"), by_head.drop(columns="method"))


@pytest.mark.parametrize("place", [("other", "clean"), ("pool", "fog")])
def test_other_images_are_refused_without_a_head_even_if_their_ids_are_the_same(world, place):
    with pytest.raises(LpclipError, match="'alone' predicts only the images of its pool, but"):
        world.evaluated("alone", *place)


@pytest.mark.parametrize("method", ["alone", "both"])
def test_rounds_and_classes_are_evaluated_by_it(world, method):
    paths = [world.folder / name for name in ("rounds.csv", "per_class.csv", "confusion.csv")]
    evaluate_rounds(
        probes=world.probes(method),
        test=world.cache("pool"),
        adapt_samples=world.folder / "pool.samples.h5",
        test_samples=world.folder / "pool.samples.h5",
        output=paths[0],
        per_class=paths[1],
        confusion=paths[2],
    )
    rounds = pd.read_csv(paths[0]).set_index(["round", "seed"])["test_accuracy"]
    zero_shot = (world.values @ np.eye(C, D).T).argmax(axis=1)
    classes = pd.read_csv(paths[1])
    for own, seed in zip(world.probabilities, SEEDS, strict=True):
        assert rounds[0, seed] == np.mean(zero_shot == world.labels)
        assert rounds[1, seed] == np.mean(own.argmax(axis=1) == world.labels)
        of_seed = classes[classes["seed"] == seed].set_index("class_name")["accuracy"]
        recall = metrics.recall_score(world.labels, own.argmax(axis=1), average=None)
        np.testing.assert_allclose(of_seed[list(NAMES)], recall, rtol=1e-6)


@pytest.mark.parametrize("method", ["alone", "both"])
def test_it_is_compared_with_zero_shot_image_by_image(world, method):
    paths = world.compared(method)
    row = pd.read_csv(paths["c.csv"]).iloc[0]
    right = world.probabilities.argmax(axis=-1) == world.labels
    before = (world.values @ np.eye(C, D).T).argmax(axis=1) == world.labels
    assert row["difference"] == pytest.approx(right.mean() - before.mean())
    assert row["only_method"] == pytest.approx((right & ~before).sum() / len(SEEDS))
    assert row["difference_low"] < row["difference"] < row["difference_high"]
    for own, seed in zip(world.probabilities, SEEDS, strict=True):
        table = pd.read_hdf(paths["p.h5"], f"seed_{seed}")
        assert table["prediction"].tolist() == own.argmax(axis=1).tolist()
        np.testing.assert_allclose(table["confidence"], own.max(axis=1), atol=1e-3)


def test_predictions_for_fewer_images_than_the_pool_has_are_refused(world):
    few = replace(world.heads, pool_probabilities=world.probabilities[:, :-1])
    about = {**MODEL, "pool_dataset": "pool", "pool_index": world.index}
    write_probes(world.probes("few"), few, {**about, "benchmark": "b", "method": "few"})
    with pytest.raises(LpclipError, match=f"for {N - 1} images of its pool, which has {N}"):
        world.evaluated("few")


def test_without_a_head_no_class_can_be_held_out(world, tmp_path):
    rows = []
    for method in ("both", "alone"):
        output = tmp_path / f"{method}.csv"
        evaluate_held_out(probes=world.probes(method), adapt=world.cache("pool"), output=output)
        rows.append(len(pd.read_csv(output)))
    assert rows[0] > rows[1] == 0


def detected(path, world):
    missing = world.folder / "none"
    evaluate_ood(
        probes=path, test=world.cache("pool"), features=world.cache("other"), of_features=missing,
        curves_of_features=missing, output=missing, curves=missing, dataset="other", group="far",
    )  # fmt: skip


def interpolated(path, _world):
    head = ZeroShotHead(np.eye(C, D, dtype=np.float32), 0.0, 7.0, NAMES, MODEL)
    wise_ft.fit(head, {"probes": path}, wise_ft.Settings(method="alone"), SEEDS)


@pytest.mark.parametrize(
    "use",
    [
        lambda path, _: load_probe(path, seed=2),
        lambda path, _: load_probe(path, seed=2, round=1),
        lambda path, world: predict(probes=path, inputs=[world.cache("pool")]),
        lambda path, world: export(probes=path, to="torch", output=world.folder / "head"),
        detected,
        interpolated,
    ],
    ids=["load_probe", "round 1", "predict", "export", "evaluate_ood", "wise_ft"],
)
def test_whatever_needs_a_head_is_refused_in_one_sentence_that_names_the_file(world, use):
    with pytest.raises(LpclipError) as error:
        use(world.probes("alone"), world)
    assert str(error.value) == (
        f"The method of {world.probes('alone')} predicts only the images of its pool and has no "
        "head for others. Use its rows in the reports and in predictions.h5, or another method."
    )


def test_round_0_is_zero_shot_everywhere(world):
    path = world.probes("alone")
    assert load_probe(path, seed=5, round=0).weight.tolist() == np.eye(C, D).tolist()
    found = predict(probes=path, inputs=[world.cache("other")], round=0, seed=5).table
    expected = (world.values @ np.eye(C, D).T).argmax(axis=1)
    assert found["prediction"].tolist() == [NAMES[index] for index in expected]
