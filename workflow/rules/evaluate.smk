rule evaluate:
    input:
        unpack(evaluation_inputs),
        probes="results/{model}/{benchmark}/{method}/probes.h5",
        features="cache/{model}/images/{dataset}/{views}.h5",
    output:
        "results/{model}/{benchmark}/{method}/robustness/{dataset}/{views}.csv",
    log:
        "logs/evaluate/{model}/{benchmark}/{method}/{dataset}/{views}.log",
    benchmark:
        "logs/evaluate/{model}/{benchmark}/{method}/{dataset}/{views}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=settings_of("evaluate"),
        files=options(["samples", "test", "test_samples"]),
    shell:
        "lpclip evaluate --probes {input.probes:q} --features {input.features:q} {params.files:q}"
        " --settings {params.settings:q} --output {output:q} --log {log:q} --threads {threads}"


rule evaluate_ood:
    input:
        probes="results/{model}/{benchmark}/{method}/probes.h5",
        test=features_of("test", "clean"),
        features="cache/{model}/images/{dataset}/clean.h5",
    output:
        "results/{model}/{benchmark}/{method}/ood/{dataset}.csv",
    log:
        "logs/evaluate_ood/{model}/{benchmark}/{method}/{dataset}.log",
    benchmark:
        "logs/evaluate_ood/{model}/{benchmark}/{method}/{dataset}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=settings_of("evaluate_ood"),
    shell:
        "lpclip evaluate-ood --probes {input.probes:q} --test {input.test:q}"
        " --features {input.features:q} --settings {params.settings:q} --output {output:q}"
        " --log {log:q} --threads {threads}"


rule evaluate_rounds:
    input:
        unpack(round_inputs),
        probes="results/{model}/{benchmark}/{method}/probes.h5",
        test=features_of("test", "clean"),
        adapt_samples=samples_of("adapt"),
    output:
        rounds="results/{model}/{benchmark}/{method}/rounds.csv",
        per_class="results/{model}/{benchmark}/{method}/per_class.csv",
    log:
        "logs/evaluate_rounds/{model}/{benchmark}/{method}.log",
    benchmark:
        "logs/evaluate_rounds/{model}/{benchmark}/{method}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=settings_of("evaluate_rounds"),
        files=options(["test_samples"]),
    shell:
        "lpclip evaluate-rounds --probes {input.probes:q} --test {input.test:q}"
        " {params.files:q} --adapt-samples {input.adapt_samples:q}"
        " --settings {params.settings:q} --output {output.rounds:q}"
        " --per-class {output.per_class:q} --log {log:q} --threads {threads}"
