rule report:
    input:
        probes=of_experiments("probes.h5"),
        robustness=files.parts(CONFIG, "robustness"),
        ood=files.parts(CONFIG, "ood"),
        rounds=of_experiments("rounds.csv"),
        per_class=of_experiments("per_class.csv"),
        comparisons=of_experiments("comparisons.csv"),
        reliability=of_experiments("reliability.csv"),
        ood_curves=files.parts(CONFIG, "ood_curves"),
        ood_held_out=of_experiments("ood_held_out.csv", transductive=False),
        confusion=of_experiments("confusion.csv"),
        skipped=files.skipping_indices(CONFIG),
        pools=files.of_pairs(CONFIG, "pool.csv"),
        pool_classes=files.of_pairs(CONFIG, "pool_classes.csv"),
        estimates=estimates.tables(CONFIG),
        checked=made_from("report"),
    output:
        shown("report.csv", "Results"),
        shifts=shown("shifts.csv", "Results"),
        robustness=shown("robustness.csv", "Tables"),
        ood=shown("ood.csv", "Tables"),
        rounds=shown("rounds.csv", "Tables"),
        per_class=shown("per_class.csv", "Tables"),
        comparisons=shown("comparisons.csv", "Tables"),
        reliability="results/reliability.csv",
        ood_curves="results/ood_curves.csv",
        ood_held_out="results/ood_held_out.csv",
        confusion="results/confusion.csv",
        guard="results/guard.csv",
        skipped="results/skipped.csv",
        pool=shown("pool.csv", "Tables"),
        pool_classes="results/pool_classes.csv",
        sweep=shown("sweep.csv", "Tables"),
        made_from="results/report.csv.made_from.json",
        severity=shown("figures/severity.png", "Figures", "severity_figure"),
        rounds_figure=shown("figures/rounds.png", "Figures", "rounds_figure"),
    log:
        "logs/report.log",
    benchmark:
        "logs/report.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory_of("report"),
        runtime=time_of("report"),
    params:
        settings=settings_of("report"),
        folder=lambda wildcards, output: str(Path(output[0]).parent),
    shell:
        "lpclip report --probes {input.probes:q} --robustness {input.robustness:q}"
        " --ood {input.ood:q} --rounds {input.rounds:q} --per-class {input.per_class:q}"
        " --comparisons {input.comparisons:q} --reliability {input.reliability:q}"
        " --ood-curves {input.ood_curves:q} --confusion {input.confusion:q}"
        " --ood-held-out {input.ood_held_out:q} --skipped {input.skipped:q}"
        " --pools {input.pools:q} --pool-classes {input.pool_classes:q}"
        " --estimates {input.estimates:q}"
        " --settings {params.settings:q} --output {params.folder:q} --log {log:q} --threads {threads}"


rule pictures:
    input:
        probes=reads(files.probes_of_benchmark),
        features=reads(files.pictured_features),
        samples=reads(files.pictured_samples),
        checked=made_from("pictures"),
    output:
        json="results/{model}/{benchmark}/pictures.json",
        made_from="results/{model}/{benchmark}/pictures.json.made_from.json",
    log:
        "logs/pictures/{model}/{benchmark}.log",
    benchmark:
        "logs/pictures/{model}/{benchmark}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory_of("pictures"),
        runtime=time_of("pictures"),
    params:
        settings=settings_of("pictures"),
        files=options(["samples"]),
    shell:
        "lpclip pictures --probes {input.probes:q} --features {input.features:q} {params.files:q}"
        " --settings {params.settings:q} --output {output.json:q} --log {log:q} --threads {threads}"


rule page:
    input:
        probes=of_experiments("probes.h5"),
        tables=[path for path in rules.report.output if path.endswith(".csv")],
        pictures=files.picture_files(CONFIG),
        checked=made_from("page"),
    output:
        html=shown("report.html", "Results", "page"),
        made_from="results/report.html.made_from.json",
    log:
        "logs/page.log",
    benchmark:
        "logs/page.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory_of("page"),
        runtime=time_of("page"),
    params:
        settings=settings_of("page"),
    shell:
        "lpclip page --probes {input.probes:q} --tables {input.tables:q} --pictures"
        ' {input.pictures:q} --logs "$(dirname {log:q})" --settings {params.settings:q}'
        " --output {output.html:q} --log {log:q} --threads {threads}"


rule thumbnails:
    input:
        samples="cache/data/{dataset}/samples.h5",
        checked=made_from("thumbnails"),
    output:
        "cache/data/{dataset}/thumbnails.h5",
    log:
        "logs/thumbnails/{dataset}.log",
    benchmark:
        "logs/thumbnails/{dataset}.tsv"
    conda:
        ENVIRONMENT
    threads: COMPUTE.threads
    resources:
        mem_mb=memory_of("thumbnails"),
        runtime=time_of("thumbnails"),
    params:
        settings=settings_of("thumbnails"),
    shell:
        "lpclip thumbnails --samples {input.samples:q} --settings {params.settings:q}"
        " --output {output:q} --log {log:q} --threads {threads}"


rule layout:
    input:
        text=reads(files.text_of),
        adapt=reads(files.features_of, "adapt"),
        test=reads(files.features_of, "test"),
        ood=reads(explored.ood_features),
        checked=made_from("layout"),
    output:
        "results/{model}/{benchmark}/layout.h5",
    log:
        "logs/layout/{model}/{benchmark}.log",
    benchmark:
        "logs/layout/{model}/{benchmark}.tsv"
    conda:
        ENVIRONMENT
    threads: COMPUTE.threads
    resources:
        mem_mb=memory_of("layout"),
        runtime=time_of("layout"),
    params:
        settings=settings_of("layout"),
    shell:
        "lpclip layout --text {input.text:q} --adapt {input.adapt:q} --test {input.test:q}"
        " --ood {input.ood:q} --settings {params.settings:q} --output {output:q} --log {log:q}"
        " --threads {threads}"


# The map of images: a target of its own.
rule explorer:
    input:
        layouts=files.of_pairs(CONFIG, "layout.h5"),
        probes=of_experiments("probes.h5"),
        features=explored.clean_features(CONFIG),
        samples=explored.labelled_samples(CONFIG),
        thumbnails=explored.thumbnail_files(CONFIG),
        checked=made_from("explorer"),
    output:
        html=shown("explorer.html", "Results", "explorer"),
        made_from="results/explorer.html.made_from.json",
    log:
        "logs/explorer.log",
    benchmark:
        "logs/explorer.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory_of("explorer"),
        runtime=time_of("explorer"),
    params:
        settings=settings_of("explorer"),
    shell:
        "lpclip explorer --layouts {input.layouts:q} --probes {input.probes:q}"
        " --features {input.features:q} --samples {input.samples:q}"
        " --thumbnails {input.thumbnails:q} --settings {params.settings:q}"
        " --output {output.html:q} --log {log:q} --threads {threads}"
