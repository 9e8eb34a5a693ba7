"""Which files the explorer and the layouts of its maps read."""

from lpclip.config import files
from lpclip.config.checked import Checked
from lpclip.config.files import Wildcards


def ood_features(config: Checked, wildcards: Wildcards) -> list[str]:
    """Return the clean caches of the OOD sets of a benchmark."""
    ood = config.benchmarks[wildcards["benchmark"]].ood
    return [files.features(wildcards["model"], name, "clean") for name in (*ood.near, *ood.far)]


def clean_features(config: Checked) -> list[str]:
    """Return the clean caches of all that the explorer shows."""
    found = [
        files.features(model, name, "clean")
        for model, pair in config.pairs()
        for name in _explored(config, pair)
    ]
    return list(dict.fromkeys(found))


def labelled_samples(config: Checked) -> list[str]:
    """Return the indices of unlabelled sets and of labelled test sets."""
    benchmarks = {name: config.benchmarks[name] for _, name in config.pairs()}
    names = [one.adapt for one in benchmarks.values()]
    names += [one.evaluated for name, one in benchmarks.items() if name in config.labelled]
    return list(dict.fromkeys(map(files.index_of, names)))


def thumbnail_files(config: Checked) -> list[str]:
    """Return the thumbnails of all that the explorer shows and that has images."""
    with_images = files.datasets(config, images=True)
    names = [name for _, pair in config.pairs() for name in _explored(config, pair)]
    return [
        f"cache/data/{name}/thumbnails.h5" for name in dict.fromkeys(names) if name in with_images
    ]


def _explored(config: Checked, benchmark: str) -> list[str]:
    one = config.benchmarks[benchmark]
    return [one.adapt, one.evaluated, *one.ood.near, *one.ood.far]
