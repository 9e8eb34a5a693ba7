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
