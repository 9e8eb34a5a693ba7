"""The configuration as typed objects, put together from the settings of the stages and kinds.

Every default, bound and description is stated with what it configures; those of the sections and
of benchmarks are stated here. ``lpclip.config.json_schema`` writes the schema that editors use.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias

from annotated_types import MinLen
from pydantic import StringConstraints

from lpclip.config.kinds import Corruption, Score
from lpclip.config.methods import Method, default_methods
from lpclip.data.class_maps import ClassMap
from lpclip.data.index import OnBadImage
from lpclip.data.registry import SourceSettings
from lpclip.data.subsets import Stratified
from lpclip.evaluation.layout_settings import Explorer
from lpclip.methods.labelling.settings import Labelling
from lpclip.methods.recommended import LABELLINGS
from lpclip.models.spec import BatchSize, ModelSpec
from lpclip.transforms.corruptions.registry import Corruptions
from lpclip.transforms.views.policies import Flips, Strong, Weak
from lpclip.types import PublishedShift
from lpclip.utils.memory import DEFAULT_MEMORY_GB
from lpclip.utils.settings import (
    UNIQUE,
    Count,
    CountOrZero,
    Positive,
    Seed,
    Seeds,
    arguments,
    settings_class,
    written_settings,
)

WHERE = "configuration"
Name: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Names: TypeAlias = Annotated[Sequence[str], UNIQUE]
Family: TypeAlias = Literal["noise", "blur", "weather", "digital"]


@settings_class
class Compute:
    """How stages run: the batch size can change a last digit, memory_gb the order of training."""

    batch_size: BatchSize = "auto"
    """Images that are encoded at once, at most 256; half as many whenever memory runs out. auto is
    what is fastest on a CPU (32 of 224 pixels), and 256 on a GPU."""
    threads: Count = 8
    """Threads of one embedding job. No fewer than the cores lets one run at a time, which is best
    for a real model; small jobs are done sooner side by side."""
    workers: CountOrZero = 0
    """Processes that decode images; 0 decodes in threads of the job's own process."""
    memory_gb: Positive = DEFAULT_MEMORY_GB
    """Gigabytes (1e9 bytes) that the large arrays of a stage after embedding may take; what exceeds
    them is read from the cache, or written to a temporary file, block by block. It changes the
    order in which students see views that do not fit, and so their heads a little; nothing else."""
    share_imports: bool = False
    """Jobs of one thread on this machine are forks of one process that has imported the libraries,
    which takes longer than a job on a few small images. Their memory is then not measured."""


@settings_class
class Views:
    """Views of images that are embedded."""

    seed: Seed = 0
    """Seed of all views; together with a sample's id it fixes everything random."""
    flips: Flips = ()
    """Flips that leave the meaning of an image as it is."""
    weak: Weak = field(default_factory=Weak)
    """What the teacher labels: a small shift and crop."""
    strong: Strong = field(default_factory=Strong)
    """What the student learns from: mixed chains of operations."""
    corruptions: Corruptions = field(default_factory=Corruptions)
    """The common corruptions that are made in memory."""


@settings_class
class Model(ModelSpec):
    """A CLIP model, and where it runs."""

    device: str = "auto"
    """Where the model runs: auto (a GPU where there is one), cpu, cuda, cuda:1, … Of several
    GPUs, auto and cuda take one that no other job uses, if there is one. Another device re-runs
    nothing."""

    @classmethod
    def from_settings(cls, given: Mapping[str, Any], *, where: str, path: Sequence[Any]) -> "Model":
        """Build the model that the last key of the path names."""
        checked = arguments(written_settings(cls), given, where=where, path=path)
        return cls(name=path[-1], **checked)


@settings_class
class Dataset:
    """One split of one source of images or features."""

    source: SourceSettings
    """Kind of image source, a module of lpclip/data/sources ({kind}.py), and its settings, which
    that module describes. The parts of a pool have sources of their own; features has no images:
    path, and optionally key, ids, labels, class_names."""
    class_map: Annotated[ClassMap, MinLen(1)] | None = None
    """Class names of folders that have other names: a mapping of folder to name; a file (JSON
    object, CSV with the columns folder and name, or lines "folder name"); or imagenet, for WordNet
    ids. Folders with one name become one class."""
    limit: Count | None = None
    """At most so many images, sampled by the dataset's seed; after stratified. A smaller limit
    gives a subset."""
    stratified: Stratified | None = None
    """Of every class at most so many images (per_class), or the same share; needs labels, also
    those of an adapt set."""
    seed: Seed = 0
    """Seed of the choice of images by limit and stratified."""
    on_bad_image: OnBadImage = "error"
    """error stops where an image cannot be read, and lists all such images; skip reads every image
    when the index is made, leaves out those that cannot be read, and records them in the index and
    in results/skipped.csv."""
    rows_per_shard: Count | Literal["auto"] = "auto"
    """Images that one job embeds, rounded up to whole chunks of 256: a larger set is embedded in
    shards, by several jobs at once where there are several devices, and joined. auto is 20,480, or
    a 64th of the set if that is more. Another number gives the same bytes and re-runs nothing whose
    cache is there."""
    views: Views | None = None
    """What differs from the section views for this dataset."""
    published: PublishedShift | None = None
    """Name in the literature of a shift of ImageNet that has a fit of accuracies: reports give
    effective robustness."""


@settings_class
class TextFeatures:
    """Precomputed text features, one row per class, in place of templates."""

    path: str
    """A .npz, .npy, .parquet, .safetensors, .pt, .csv or HDF5 file, an output folder of
    clip-retrieval, or a text cache of lpclip."""
    key: str | None = None
    """Name of the array; may be left out where it is clear."""
    class_names: str | None = None
    """Name of the array of class names."""


@settings_class
class OodSets:
    """OOD datasets, near to the benchmark's classes or far from them."""

    near: Names = ()
    """OOD datasets whose classes resemble the benchmark's."""
    far: Names = ()
    """OOD datasets whose classes do not."""


@settings_class
class Roles:
    """Which datasets a benchmark uses, and what for."""

    adapt: str
    """Dataset to adapt on; label-free methods never see its labels."""
    test: str | None = None
    """Dataset to test on. Without labels, or with no such dataset (the adapt set is used instead),
    there is no accuracy, and reports give what can be known without it."""
    official_corruptions: str | None = None
    """Dataset of published corruptions of the test set, of kind imagenet_c or cifar_c."""
    shifts: Names = ()
    """Labelled datasets of the same classes, or of some of them."""
    ood: OodSets = field(default_factory=OodSets)
    """OOD datasets, near to the benchmark's classes or far from them."""
    text_features: TextFeatures | None = None
    """Precomputed text features, one row per class, in place of templates."""
    transductive: bool = False
    """Evaluate every method that sees no label also with the test images, without their labels, as
    the unlabelled ones: in a benchmark of its own, {name}_transductive, on the clean test set.
    Methods that predict only the unlabelled images are run there alone."""

    @property
    def evaluated(self) -> str:
        """Dataset that probes are evaluated on: the adapt set if there is no test set."""
        return self.adapt if self.test is None else self.test

    @property
    def roles(self) -> dict[str, Sequence[str]]:
        """Names of datasets by the key of the configuration that names them."""
        official = self.official_corruptions
        return {
            "adapt": [self.adapt],
            "test": [self.evaluated],
            "official_corruptions": [] if official is None else [official],
            "shifts": self.shifts,
            "ood.near": self.ood.near,
            "ood.far": self.ood.far,
        }

    @property
    def datasets(self) -> list[str]:
        """Names of all datasets, each once."""
        return list(dict.fromkeys(name for names in self.roles.values() for name in names))


@settings_class
class Benchmark(Roles):
    """What is measured together, as it is written."""

    models: Annotated[Names, MinLen(1)] | None = None
    """Models that the benchmark is run with; all by default."""
    class_names: Sequence[str] | str | None = None
    """One name per class, in the order of the labels: a list, a text file with one name per line
    (UTF-8), or imagenet, open_clip's names of the 1000 classes. May be left out where the file of
    text_features or prompts holds them."""
    templates: Sequence[str] | str | None = None
    """Sentences with {} in the place of a class name ({c} and {classname} mean the same): a list, a
    text file with one per line, or a set of open_clip's, openai_imagenet (80) or simple (7)."""
    prompts: str | None = None
    """In place of templates: a JSON file of descriptions of each class,
    {"class name": ["a description", ...], ...}."""
    corruptions: Annotated[Sequence[Family], UNIQUE] | None = None
    """Families of corruptions of the test set that are made here; by default all of them where the
    test set is labelled, else none."""
    more_corruptions: Names | None = None
    """Corruptions of plugins that are made, too; by default all of the section corruptions."""


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """A configuration with every default, as it is written."""

    models: Annotated[Mapping[Name, Model], MinLen(1)]
    """CLIP models by name."""
    datasets: Annotated[Mapping[Name, Dataset], MinLen(1)]
    """Datasets by name; a dataset is one split of one source."""
    benchmarks: Annotated[Mapping[Name, Benchmark], MinLen(1)]
    """What is measured together."""
    plugins: Names = ()
    """Files with kinds of your own, see docs/extend.md; paths from the folder of the configuration
    that names them, or from the working directory. What installed packages add needs no entry."""
    seeds: Seeds = (0, 1, 2)
    """Seeds of training; every method is trained once with each, zero-shot CLIP, of which nothing
    is random, with the first alone."""
    compute: Compute = field(default_factory=Compute)
    """How stages run; of these only the batch size can change a last digit."""
    views: Views = field(default_factory=Views)
    """Views of images that are embedded."""
    explorer: Explorer = field(default_factory=Explorer)
    """The map of images, results/explorer.html."""
    labellings: Mapping[Name, Labelling] = field(default_factory=lambda: LABELLINGS)
    """How a teacher's predictions become pseudo-labels."""
    corruptions: Mapping[Name, Corruption] = field(default_factory=dict)
    """Corruptions of plugins by name, in no mean over lpclip's own."""
    scores: Mapping[Name, Score] = field(default_factory=dict)
    """OOD scores of plugins by name, next to lpclip's own."""
    methods: Annotated[Mapping[Name, Method], MinLen(1)] = field(
        default_factory=lambda: default_methods(where=WHERE)
    )
    """Methods by name, in the order in which reports list them; by default those of config.yaml
    that see no label."""
