# Which files a rule reads and a target needs.


def index_workers(wildcards):
    """Processes that read the images of a dataset to find those to skip."""
    skips = DATASETS[wildcards.dataset]["on_bad_image"] == "skip"
    return config["compute"]["workers"] if skips else 0


def index_threads(wildcards):
    return max(1, index_workers(wildcards))


def class_map_file(wildcards):
    """The file that holds the names of a dataset's classes, if there is one."""
    class_map = DATASETS[wildcards.dataset].get("class_map")
    return [class_map] if isinstance(class_map, str) and class_map != IMAGENET else []


def skipping_indices():
    """Indices that may leave out images, of all datasets that are reported on."""
    used = {name for _, pair in pairs() for name in datasets_of(BENCHMARKS[pair])}
    return [
        f"cache/data/{name}/samples.h5"
        for name in DATASETS
        if name in used and DATASETS[name]["on_bad_image"] == "skip"
    ]


def role_of(wildcards):
    """What a dataset that is evaluated is to the benchmark."""
    benchmark = BENCHMARKS[wildcards.benchmark]
    if wildcards.dataset == evaluated_set(benchmark):
        return "test"
    official = wildcards.dataset == benchmark.get("official_corruptions")
    return "official" if official else "shift"


def model_files(wildcards):
    """Files on this machine that a model is loaded from."""
    model = MODELS[wildcards.model]
    if model["pretrained"] == "embedded":
        return [os.path.relpath(WEIGHTS)]
    return list(map(str, local_files(model["architecture"], model["pretrained"])))


def device_of(wildcards):
    return MODELS[wildcards.model]["device"]


def features(dataset, views):
    """Path of a feature cache of a dataset, by the name of its pass."""
    return f"cache/{{model}}/images/{dataset}/{views}.h5"


def dataset_of(wildcards, role):
    """The dataset that has a role in a benchmark; the adapt set where there is no test set."""
    benchmark = BENCHMARKS[wildcards.benchmark]
    return evaluated_set(benchmark) if role == "test" else benchmark[role]


def features_of(role, views):
    """Input function: the cache of the dataset that has a role in a benchmark."""
    return lambda wildcards: features(dataset_of(wildcards, role), views).format(
        model=wildcards.model
    )


def adapts_on_images(wildcards):
    return BENCHMARKS[wildcards.benchmark]["adapt"] in IMAGES


def adapt_features(wildcards, student_view="both"):
    """The cache of the adapt set with the views that self-training looks at."""
    views = training_views(student_view, images=adapts_on_images(wildcards))
    return features_of("adapt", "clean" if "clean" in views else "adapt")(wildcards)


def source_files(wildcards):
    """Files that a dataset is read from, its labels among them, where its kind names them."""
    files = getattr(SOURCES[wildcards.dataset], "files", list)
    return list(map(str, files()))


def feature_files(wildcards):
    """Files that hold the features of a dataset."""
    return list(
        map(str, open_arrays(DATASETS[wildcards.dataset]["source"]["path"]).files())
    )


def text_feature_files(wildcards):
    """Files that hold the text features of a benchmark."""
    text = BENCHMARKS[wildcards.benchmark]["text_features"]
    return list(map(str, open_arrays(text["path"]).files()))


def samples_of(role):
    """Input function: the index of the dataset that has a role in a benchmark."""
    return lambda wildcards: index_of(dataset_of(wildcards, role))


def index_of(dataset):
    """Path of the index of a dataset, which holds its labels."""
    return f"cache/data/{dataset}/samples.h5"


def evaluation_inputs(wildcards):
    """What the evaluation of a dataset reads, but for features; no index where labels lack."""
    role, test = role_of(wildcards), dataset_of(wildcards, "test")
    labelled = wildcards.benchmark in LABELLED
    inputs = {}
    if labelled or role != "test":
        inputs["samples"] = index_of(wildcards.dataset)
    if labelled and role != "test":
        inputs["test_samples"] = index_of(test)
    if labelled and role == "shift":
        inputs["test"] = features(test, "clean").format(model=wildcards.model)
    return inputs


def round_inputs(wildcards):
    """The index of a labelled test set."""
    labelled = wildcards.benchmark in LABELLED
    return {"test_samples": samples_of("test")(wildcards)} if labelled else {}


def options(names):
    """Param: command-line options for those of a rule's named inputs that it has."""
    return lambda wildcards, input: [
        text
        for name in names
        if name in input.keys()
        for text in (f"--{name.replace('_', '-')}", input[name])
    ]


def method_inputs(wildcards):
    """What a method reads; its index with labels only where the kind of method declares it."""
    method = METHODS[wildcards.method]
    guarded = METHODS[method["method"]] if method["kind"] == "guarded" else method
    paths = {
        "pseudo_labels": f"results/{wildcards.model}/{wildcards.benchmark}/pseudo_labels/"
        f"{method.get('labelling')}.h5",
        "adapt": adapt_features(wildcards, guarded.get("student_view", "both")),
        "clean": features_of("adapt", "clean")(wildcards),
        "probes": f"results/{wildcards.model}/{wildcards.benchmark}/{method.get('method')}/probes.h5",
        "samples": samples_of("adapt")(wildcards),
    }
    return {name: paths[name] for name in needs(method["kind"])}


def method_options(wildcards, input):
    """Command-line options for these files."""
    names = needs(METHODS[wildcards.method]["kind"])
    return [
        text for name in names for text in (f"--{name.replace('_', '-')}", input[name])
    ]


def pairs():
    """Every model with every benchmark that is run with it."""
    return [
        (model, name)
        for model in MODELS
        for name, benchmark in BENCHMARKS.items()
        if model in benchmark["models"]
    ]


def experiments(pattern):
    """A path for every model, benchmark and method."""
    return [
        pattern.format(model=model, benchmark=benchmark, method=method)
        for model, benchmark in pairs()
        for method in METHODS
    ]


def official_passes(benchmark):
    """Dataset and pass of every family of which there are published corruptions."""
    name = benchmark.get("official_corruptions")
    found = official_corruptions(SOURCES[name]) if name else []
    return [
        f"{name}/{family}" for family in FAMILIES if set(found) & set(FAMILIES[family])
    ]


def evaluated_passes(benchmark):
    """Dataset and pass of all that a benchmark is evaluated on, the clean test set first."""
    passes = ["clean", *benchmark["corruptions"]]
    return [
        *(f"{evaluated_set(benchmark)}/{views}" for views in passes),
        *(f"{shift}/clean" for shift in benchmark["shifts"]),
        *official_passes(benchmark),
    ]


def evaluated_features(wildcards):
    return [
        f"cache/{wildcards.model}/images/{end}.h5"
        for end in evaluated_passes(BENCHMARKS[wildcards.benchmark])
    ]


def evaluated_samples(wildcards):
    """The indices of what is evaluated, but not that of a test set without labels."""
    benchmark = BENCHMARKS[wildcards.benchmark]
    test = evaluated_set(benchmark)
    names = {end.partition("/")[0] for end in evaluated_passes(benchmark)}
    if wildcards.benchmark not in LABELLED:
        names.discard(test)
    return sorted(map(index_of, names))


def probes_of_benchmark(wildcards):
    return [
        f"results/{wildcards.model}/{wildcards.benchmark}/{method}/probes.h5"
        for method in METHODS
    ]


def pictured_features(wildcards):
    """The caches of the test set: clean, then its corruptions, generated and published."""
    test = dataset_of(wildcards, "test")
    benchmark = BENCHMARKS[wildcards.benchmark]
    ends = [f"{test}/{views}" for views in ("clean", *benchmark["corruptions"])]
    return [
        f"cache/{wildcards.model}/images/{end}.h5"
        for end in (*ends, *official_passes(benchmark))
    ]


def pictured_samples(wildcards):
    labelled = wildcards.benchmark in LABELLED
    return [samples_of("test")(wildcards)] if labelled else []


def picture_files():
    """Pictures of every model and benchmark whose test set has images."""
    return [
        f"results/{model}/{name}/pictures.json"
        for model, name in pairs()
        if evaluated_set(BENCHMARKS[name]) in IMAGES
    ]


def parts(kind):
    """The evaluation's files of one kind for the whole configuration."""
    found = []
    for model, name in pairs():
        benchmark = BENCHMARKS[name]
        if kind == "robustness":
            ends = evaluated_passes(benchmark)
        else:
            ends = [*benchmark["ood"]["near"], *benchmark["ood"]["far"]]
        for method in METHODS:
            found += [
                f"results/{model}/{name}/{method}/{kind}/{end}.csv" for end in ends
            ]
    return found
