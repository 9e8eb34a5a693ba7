# The one param of every rule: what it uses of the configuration, and the hash of its code.


def settings_of(rule):
    """The one param of a rule: what it uses of the configuration and the hash of its code."""
    return lambda wildcards: json.dumps(
        current_settings(rule, wildcards), sort_keys=True
    )


def current_settings(rule, wildcards):
    """The same as a mapping, made once for every job."""
    key = (rule, *sorted(wildcards.items()))
    if key not in _settings:
        _settings[key] = globals()[f"settings_{rule}"](wildcards)
    return _settings[key]


_settings = {}


def marks(paths):
    """Marks of files that a user gave, which may be replaced by older ones; none without any."""
    found = marks_of(map(Path, paths), known=Path(".snakemake/lpclip_marks.json"))
    return {"files": found} if found else {}


def settings_index_samples(wildcards):
    dataset = DATASETS[wildcards.dataset]
    drawn = [key for key in ("limit", "stratified") if key in dataset]
    used = ["class_map"] * ("class_map" in dataset) + drawn + ["seed"] * bool(drawn)
    return {
        "dataset": wildcards.dataset,
        "source": dataset["source"],
        **{key: dataset[key] for key in used},
        "on_bad_image": dataset["on_bad_image"],
        **marks([*source_files(wildcards), *class_map_file(wildcards)]),
        "code": code_hash("lpclip.data.index", *modules_of_source(dataset["source"])),
    }


def model_settings(wildcards):
    """What a stage knows of its model: where it runs changes no result."""
    model = {"name": wildcards.model, **MODELS[wildcards.model]}
    del model["device"]
    return model


def checkpoint_of(wildcards):
    """What is in the files of a model: one that is replaced may be older than the caches."""
    model = MODELS[wildcards.model]
    files = local_files(model["architecture"], model["pretrained"])
    return {"checkpoint": files_hash(files)} if files else {}


def settings_embed_text(wildcards):
    benchmark = BENCHMARKS[wildcards.benchmark]
    return {
        "model": model_settings(wildcards),
        "class_names": benchmark["class_names"],
        **{key: benchmark[key] for key in ("templates", "prompts") if key in benchmark},
        **checkpoint_of(wildcards),
        "code": code_hash("lpclip.features.text"),
        "versions": versions(),
    }


def settings_embed_images(wildcards):
    dataset = DATASETS[wildcards.dataset]
    views, modules = views_of_pass(
        wildcards.views,
        dataset["views"],
        official_corruptions(SOURCES[wildcards.dataset]),
    )
    return {
        "dataset": wildcards.dataset,
        "source": dataset["source"],
        "model": model_settings(wildcards),
        "views": views,
        "seed": dataset["views"]["seed"],
        "batch_size": config["compute"]["batch_size"],
        **checkpoint_of(wildcards),
        **marks(frost_pictures(views)),
        "code": code_hash(
            "lpclip.features.images", *modules_of_source(dataset["source"]), *modules
        ),
        "versions": versions(),
    }


def frost_pictures(views):
    """Pictures that a pass lays over images, where the user has given some."""
    folder = views.get("frost", {}).get("frost_images")
    return sorted(map(str, Path(folder).iterdir())) if folder else []


def settings_copy_text(wildcards):
    benchmark = BENCHMARKS[wildcards.benchmark]
    return {
        "model": model_settings(wildcards),
        "class_names": benchmark["class_names"],
        **place_of(benchmark["text_features"]),
        **marks(text_feature_files(wildcards)),
        "code": code_hash("lpclip.features.imported"),
    }


def settings_copy_features(wildcards):
    return {
        "dataset": wildcards.dataset,
        "model": model_settings(wildcards),
        **place_of(DATASETS[wildcards.dataset]["source"]),
        **marks(feature_files(wildcards)),
        "code": code_hash("lpclip.features.imported"),
    }


def place_of(source):
    """Where features are; what copies them is not told where labels are."""
    return {key: source[key] for key in ("path", "key") if key in source}


def views_of_pass(name, settings, official):
    """Views of a pass with their settings, and the modules that make them."""
    if official:
        settings = {"official": True, "severities": list(SEVERITIES)}
        return {
            corruption: settings
            for corruption in FAMILIES[name]
            if corruption in official
        }, []
    if name == "clean":
        return {"clean": {}}, []
    if name == "adapt":
        views = {
            kind: {**settings[kind], "flips": settings["flips"]}
            for kind in ("weak", "strong")
        }
        return views, ["lpclip.utils.rng", "lpclip.transforms.views.policies"]
    views = {corruption: settings["corruptions"] for corruption in FAMILIES[name]}
    return views, [
        "lpclip.utils.rng",
        "lpclip.transforms.corruptions.registry",
        f"lpclip.transforms.corruptions.{name}",
    ]


def versions():
    return {
        name: version(name)
        for name in ("torch", "torchvision", "open_clip_torch", "pillow")
    }


def settings_pseudo_labels(wildcards):
    return {
        "labelling": LABELLINGS[wildcards.labelling],
        "view": training_views("both", images=adapts_on_images(wildcards))[1],
        "code": code_hash("lpclip.methods.labelling.pseudo_labels"),
    }


def settings_train_probe(wildcards):
    method = METHODS[wildcards.method]
    return {
        "benchmark": wildcards.benchmark,
        "method": wildcards.method,
        "kind": method["kind"],
        "seeds": used_seeds(method["kind"], config["seeds"]),
        "settings": settings_of_method(wildcards, method),
        "code": code_hash(
            "lpclip.methods.train", f"lpclip.methods.kinds.{method['kind']}"
        ),
    }


def settings_of_method(wildcards, method):
    """Settings of a method on a benchmark, with all that they name filled in."""
    settings = {key: value for key, value in method.items() if key != "kind"}
    if "labelling" in settings:
        settings["labelling"] = LABELLINGS[settings["labelling"]]
    if "student_view" in settings:
        settings["student_view"], settings["teacher_view"] = training_views(
            settings["student_view"], images=adapts_on_images(wildcards)
        )
    if method["kind"] == "guarded":
        settings["training"] = settings_of_method(wildcards, METHODS[method["method"]])
    return settings


def settings_evaluate(wildcards):
    shift = role_of(wildcards) == "shift"
    return {
        "shift": wildcards.dataset if shift else "",
        "published": DATASETS[wildcards.dataset].get("published", "") if shift else "",
        "code": code_hash("lpclip.evaluation.robustness"),
    }


def settings_evaluate_features(wildcards):
    return {"code": code_hash("lpclip.evaluation.feature_detection")}


def settings_evaluate_ood(wildcards):
    near = wildcards.dataset in BENCHMARKS[wildcards.benchmark]["ood"]["near"]
    return {
        "dataset": wildcards.dataset,
        "group": "near" if near else "far",
        "code": code_hash("lpclip.evaluation.detection"),
    }


def settings_evaluate_held_out(wildcards):
    return {"code": code_hash("lpclip.evaluation.held_out")}


def settings_evaluate_rounds(wildcards):
    return {"code": code_hash("lpclip.evaluation.rounds")}


def settings_evaluate_samples(wildcards):
    benchmark = BENCHMARKS[wildcards.benchmark]
    return {
        "test": evaluated_set(benchmark),
        "shifts": benchmark["shifts"],
        "code": code_hash("lpclip.evaluation.paired"),
    }


def settings_predictions(wildcards):
    return {"code": code_hash("lpclip.evaluation.predictions")}


def settings_pictures(wildcards):
    benchmark = BENCHMARKS[wildcards.benchmark]
    source = DATASETS[dataset_of(wildcards, "test")]["source"]
    families = benchmark["corruptions"]
    name = benchmark.get("official_corruptions")
    official = {"official_source": DATASETS[name]["source"]} if name else {}
    return {
        "source": source,
        **official,
        "order": [f"{wildcards.benchmark}/{method}" for method in METHODS],
        "code": code_hash(
            "lpclip.reporting.page.pictures",
            *modules_of_source(source),
            *(found for one in official.values() for found in modules_of_source(one)),
            *(f"lpclip.transforms.corruptions.{family}" for family in families),
        ),
    }


def settings_report(wildcards):
    # The command sees the order in that of its files, which Snakemake compares as a set.
    return {
        "order": experiments("{model}/{benchmark}/{method}"),
        "code": code_hash("lpclip.reporting.stage"),
    }


def settings_page(wildcards):
    return {
        "order": experiments("{model}/{benchmark}/{method}"),
        "configuration": shown_configuration(config),
        "code": f"{code_hash('lpclip.reporting.page.stage')}-{assets_hash()}",
    }
