"""What the job of each rule works on: how many images, views, classes, seeds and texts."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

from lpclip.config import files
from lpclip.config.checked import Checked, CheckedBenchmark
from lpclip.config.files import Wildcards
from lpclip.config.methods import Method
from lpclip.config.stage_costs import Size
from lpclip.corruption_names import FAMILIES, SEVERITIES
from lpclip.data.official import official_corruptions
from lpclip.methods.registry import used_seeds
from lpclip.models.parameters import Magnitude, magnitude

Rows: TypeAlias = Callable[[str], int]
# A GPU does not make a model of fewer numbers faster: starting it takes longer than its work.
_SMALL = 20e6


class JobSize:
    """One job of a configuration.

    Args:
        config: the configuration.
        rows: number of images of a dataset, by its name.
        wildcards: of the job.
    """

    def __init__(self, config: Checked, rows: Rows, wildcards: Wildcards) -> None:
        self._config, self._rows, self._wildcards = config, rows, wildcards

    def of(self, rule: str) -> Size:
        """Return what the job of a rule works on."""
        size = _SIZES[rule](self)
        return size if rule == "train_probe" else replace(size, budget=self._budget)

    @property
    def method(self) -> Method:
        """The method that is trained or evaluated."""
        return self._config.methods[self._wildcards["method"]]

    @property
    def _budget(self) -> float:
        return self._config.compute.memory_gb * 1e9

    @property
    def _benchmark(self) -> CheckedBenchmark:
        return self._config.benchmarks[self._wildcards["benchmark"]]

    @property
    def _model(self) -> Magnitude:
        return magnitude(self._config.models[self._wildcards["model"]])

    def _own_rows(self) -> int:
        if "start" in self._wildcards:  # of a shard
            return int(self._wildcards["stop"]) - int(self._wildcards["start"])
        return self._rows(self._wildcards["dataset"])

    def _passes(self) -> dict[str, int]:
        """Return versions by view of the pass that is embedded or evaluated."""
        return self._views(self._wildcards["dataset"], self._wildcards["views"])

    def _views(self, dataset: str, name: str) -> dict[str, int]:
        views = self._config.datasets[dataset].views
        if name == "clean" or views is None:
            return {"clean": 1}
        if name == "adapt":
            return {"weak": views.weak.versions, "strong": views.strong.versions}
        official = official_corruptions(self._config.sources[dataset])
        names = FAMILIES.get(name, (name,))  # one of a plugin is a pass of its own
        found = [one for one in names if not official or one in official]
        return dict.fromkeys(found, len(SEVERITIES))

    def _teacher(self) -> int:
        """Return the versions of the adapt set that a teacher labels."""
        views = self._config.datasets[self._benchmark.adapt].views
        images = files.adapts_on_images(self._config, self._wildcards)
        return views.weak.versions if images and views is not None else 1

    def _learned(self, student_view: str) -> int:
        """Return the versions that a student learns from and that are not the teacher's."""
        student, teacher = files.training_views(
            student_view, images=files.adapts_on_images(self._config, self._wildcards)
        )
        views = self._config.datasets[self._benchmark.adapt].views
        if views is None or student == teacher:
            return 0
        halves = (views.weak.versions + 1) // 2, (views.strong.versions + 1) // 2
        return sum(halves) if student == "both" else views.strong.versions

    def _index(self) -> Size:
        return Size(rows=self._own_rows())

    def _text(self) -> Size:
        benchmark = self._benchmark
        texts = len(benchmark.class_names) * len(benchmark.templates or ())
        if benchmark.prompts is not None:
            texts = sum(map(len, benchmark.prompts))
        model = self._model
        return self._on_device(Size(texts=texts, dim=model.dim, parameters=model.parameters))

    def _images(self) -> Size:
        rows, model = self._own_rows(), self._model
        versions = self._passes()
        return self._on_device(
            Size(
                rows=rows,
                dim=model.dim,
                images=rows * sum(versions.values()),
                versions=sum(versions.values()),
                parameters=model.parameters,
                operations=model.image_operations,
            )
        )

    def _on_device(self, size: Size) -> Size:
        """Return the size of a job that runs its model where the configuration says."""
        device = self._config.models[self._wildcards["model"]].device
        on_gpu = device.startswith("cuda") or (device == "auto" and size.parameters > _SMALL)
        return replace(size, device=on_gpu, threads=self._config.compute.threads)

    def _copied(self) -> Size:
        return Size(rows=self._own_rows(), dim=self._model.dim)

    def _joined(self) -> Size:
        return replace(self._copied(), versions=sum(self._passes().values()))

    def _copied_text(self) -> Size:
        return Size(rows=len(self._benchmark.class_names), dim=self._model.dim)

    def _adapt(self) -> Size:
        benchmark = self._benchmark
        return Size(
            rows=self._rows(benchmark.adapt),
            dim=self._model.dim,
            classes=len(benchmark.class_names),
            teacher=self._teacher(),
            tested=self._rows(benchmark.evaluated),
        )

    def _estimated(self) -> Size:
        """Return the size of examining all points, one after another."""
        seeds, points = len(self._config.seeds), len(self._config.sweeps.methods)
        return replace(self._adapt(), seeds=seeds, views=max(1, points))

    def _trained(self) -> Size:
        """Return the size of training, of a guarded method that of its largest candidate."""
        method, config = self.method, self._config
        learned = [config.methods[name] for name in method.candidates] or [method]
        views = [self._learned(one.settings.get("student_view", "weak")) for one in learned]
        rounds = [_rounds(one) for one in learned]
        epochs = [_epochs(one) for one in learned]
        return replace(
            self._adapt(),
            seeds=len(used_seeds(method.kind, config.seeds)),
            student=max(views),
            rounds=sum(rounds),
            epochs=max(epochs),
            budget=max([self._budget, *(1e9 * _number(one, "memory_gb", 0) for one in learned)]),
        )

    def _evaluated(self) -> Size:
        return self._evaluation(self._own_rows(), self._passes())

    def _out(self) -> Size:
        rows = max(self._own_rows(), self._rows(self._benchmark.evaluated))
        return self._evaluation(rows, {"clean": 2})

    def _evaluation(self, rows: int, views: Mapping[str, int]) -> Size:
        return Size(
            rows=rows,
            dim=self._model.dim,
            classes=len(self._benchmark.class_names),
            seeds=len(used_seeds(self.method.kind, self._config.seeds)),
            versions=max(views.values()),
            views=sum(views.values()),
        )

    def _rounds(self) -> Size:
        rounds = 1 + _rounds(self.method)
        return self._evaluation(self._rows(self._benchmark.evaluated), {"clean": 1, "": rounds})

    def _held_out(self) -> Size:
        size = self._evaluation(self._rows(self._benchmark.adapt), {"clean": 1})
        return replace(size, tested=min(size.rows, 20_000))

    def _of_features(self) -> Size:
        benchmark = self._benchmark
        tested = self._own_rows() + self._rows(benchmark.evaluated)
        return Size(rows=self._rows(benchmark.adapt), dim=self._model.dim, tested=tested)

    def _paired(self) -> Size:
        passes = files.evaluated_passes(self._config, self._benchmark, self._wildcards["method"])
        found = [self._views(*one) for one in passes]
        rows = max(self._rows(dataset) for dataset, _ in passes)
        return replace(
            self._evaluation(rows, {"": max(max(views.values()) for views in found)}),
            views=sum(sum(views.values()) for views in found),
        )

    def _pictured(self) -> Size:
        size = Size(rows=self._rows(self._benchmark.evaluated), dim=self._model.dim)
        return replace(size, classes=len(self._benchmark.class_names), versions=len(SEVERITIES))

    def _laid_out(self) -> Size:
        benchmark = self._benchmark
        ood = [*benchmark.ood.near, *benchmark.ood.far]
        rows = sum(map(self._rows, {benchmark.adapt, benchmark.evaluated, *ood}))
        points = min(rows, self._config.explorer.points)
        return Size(rows=rows, dim=self._model.dim, tested=points)

    def _explored(self) -> Size:
        config = self._config
        models = [magnitude(config.models[model]).dim for model, _ in config.pairs()]
        shown = config.explorer.points
        n_classes = max(len(config.benchmarks[name].class_names) for _, name in config.pairs())
        return replace(self._all(), tested=shown, dim=max(models), classes=n_classes)

    def _all(self) -> Size:
        config = self._config
        tested = [self._rows(config.benchmarks[name].evaluated) for _, name in config.pairs()]
        return Size(rows=sum(tested), seeds=len(config.seeds) * len(config.methods))


def _number(method: Method, name: str, default: float) -> float:
    """Return a setting, where it is a number: a plugin may call something else so."""
    found = method.settings.get(name)
    return found if isinstance(found, int | float) else default


def _rounds(method: Method) -> int:
    return int(_number(method, "rounds", 1))


def _epochs(method: Method) -> int:
    found = method.settings.get("optimisation")
    return int(getattr(found, "epochs", 1))


_SIZES: Mapping[str, Callable[[JobSize], Size]] = {
    "index_samples": JobSize._index,
    "count_samples": JobSize._index,
    "embed_text": JobSize._text,
    "embed_images": JobSize._images,
    "embed_shard": JobSize._images,
    "join_shards": JobSize._joined,
    "copy_text": JobSize._copied_text,
    "copy_features": JobSize._copied,
    "pseudo_labels": JobSize._adapt,
    "describe_pool": JobSize._adapt,
    "estimate_gains": JobSize._estimated,
    "train_probe": JobSize._trained,
    "evaluate": JobSize._evaluated,
    "evaluate_features": JobSize._of_features,
    "evaluate_ood": JobSize._out,
    "evaluate_held_out": JobSize._held_out,
    "evaluate_rounds": JobSize._rounds,
    "evaluate_samples": JobSize._paired,
    "predictions": JobSize._all,
    "pictures": JobSize._pictured,
    "report": JobSize._all,
    "page": JobSize._all,
    "thumbnails": JobSize._index,
    "layout": JobSize._laid_out,
    "explorer": JobSize._explored,
}
