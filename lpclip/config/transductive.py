"""Transductive benchmarks: the unlabelled images are the test images, whose labels nobody reads.

A benchmark with ``transductive: true`` is followed by one that has its test set as its adapt set.
A method that sees labels would see those of the test there, so it is left out. A method that
predicts only the images of its pool is run where these are evaluated, and nowhere else.
"""

from collections.abc import Iterator, Mapping

from lpclip.columns.table import TRANSDUCTIVE, is_transductive
from lpclip.config.checked import Checked, CheckedBenchmark
from lpclip.config.methods import Method
from lpclip.errors import LpclipError
from lpclip.methods.registry import predicts_pool_alone, sees_labels


def with_transductive(benchmarks: Mapping[str, CheckedBenchmark]) -> dict[str, CheckedBenchmark]:
    """Return the benchmarks, each followed by its transductive form if it has one.

    The form has the texts, models and test set of the benchmark, and neither corruptions, shifts
    nor OOD sets, whose images are not in the pool.

    Raises:
        LpclipError: a benchmark without another test set than its adapt set, or a name that is
            taken or misleads.
    """
    found = {}
    for name, benchmark in benchmarks.items():
        where = f"configuration: benchmarks.{name}"
        if is_transductive(name) and benchmark.adapt != benchmark.test:
            raise LpclipError(
                f"{where} has a name that ends in '{TRANSDUCTIVE}', which is kept for benchmarks "
                "whose adapt set is their test set. Choose another name."
            )
        found[name] = benchmark
        if not benchmark.transductive:
            continue
        if benchmark.adapt == benchmark.evaluated:
            raise LpclipError(
                f"{where}.transductive adds an evaluation with the test set as the adapt set, but "
                "the adapt set is what the benchmark is evaluated on already. Remove the key."
            )
        if name + TRANSDUCTIVE in benchmarks:
            raise LpclipError(
                f"{where}.transductive adds the benchmark '{name}{TRANSDUCTIVE}', which is defined "
                "already. Rename one of them."
            )
        found[name + TRANSDUCTIVE] = _transductive(name, benchmark)
    return found


def _transductive(name: str, benchmark: CheckedBenchmark) -> CheckedBenchmark:
    texts = ("models", "class_names", "templates", "prompts", "text_features")
    return CheckedBenchmark(
        **{key: getattr(benchmark, key) for key in texts},
        adapt=benchmark.evaluated,
        test=benchmark.test,
        corruptions=(),
        derived_from=name,
    )


def check_methods(config: Checked) -> None:
    """Refuse methods that would be run on no benchmark, and benchmarks without a method.

    Raises:
        LpclipError: the first of them, and what to do.
    """
    for name in config.methods:
        kinds = list(_kinds(name, config.methods))
        base = config.methods[name].base
        if base is not None and any(map(predicts_pool_alone, kinds[1:])):
            raise LpclipError(
                f"configuration: methods.{name}.method names '{base}', which predicts only the "
                "images of its pool and has no head to change. Name another method."
            )
        if predicts_pool_alone(kinds[0]) and not any(map(_evaluates_pool, _all(config))):
            raise LpclipError(
                f"configuration: methods.{name} is of kind '{kinds[0]}', which predicts only the "
                "images that it adapts on, but no benchmark tests on these. Set transductive: true "
                "in a benchmark, or remove the method."
            )
    for name in config.benchmarks:
        if not methods_of(config, name):
            raise LpclipError(
                f"configuration: none of the methods is run on benchmark '{name}': those that see "
                "labels are not where these are the test's, those that predict only the images of "
                "their pool not where others are tested. Add a method, for example zero_shot."
            )


def methods_of(config: Checked, benchmark: str) -> list[str]:
    """Return the methods that are run on a benchmark, in their order."""
    found = config.benchmarks[benchmark]
    return [
        name
        for name in config.methods
        for kinds in [list(_kinds(name, config.methods))]
        if _evaluates_pool(found) or not predicts_pool_alone(kinds[0])
        if found.derived_from is None or not any(map(sees_labels, kinds))
    ]


def text_name(config: Checked, benchmark: str) -> str:
    """Return the name of the benchmark whose text features a benchmark uses."""
    return config.benchmarks[benchmark].derived_from or benchmark


def _all(config: Checked) -> list[CheckedBenchmark]:
    return list(config.benchmarks.values())


def _evaluates_pool(benchmark: CheckedBenchmark) -> bool:
    return benchmark.adapt == benchmark.evaluated


def _kinds(method: str, methods: Mapping[str, Method]) -> Iterator[str]:
    """Yield the kind of a method, and those of the methods that it is made from."""
    yield methods[method].kind
    base = methods[method].base
    if base is not None:
        yield from _kinds(base, methods)
