rule evaluate:
    input:
        unpack(reads(files.evaluation_inputs)),
        probes="results/{model}/{benchmark}/{method}/probes.h5",
        features="cache/{model}/images/{dataset}/{views}.h5",
        checked=made_from("evaluate"),
    output:
        csv="results/{model}/{benchmark}/{method}/robustness/{dataset}/{views}.csv",
        made_from="results/{model}/{benchmark}/{method}/robustness/{dataset}/{views}.csv.made_from.json",
    log:
        "logs/evaluate/{model}/{benchmark}/{method}/{dataset}/{views}.log",
    benchmark:
        "logs/evaluate/{model}/{benchmark}/{method}/{dataset}/{views}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory_of("evaluate"),
        runtime=time_of("evaluate"),
    params:
        settings=settings_of("evaluate"),
        files=options(["samples", "test", "test_samples"]),
    shell:
        "lpclip evaluate --probes {input.probes:q} --features {input.features:q} {params.files:q}"
        " --settings {params.settings:q} --output {output.csv:q} --log {log:q} --threads {threads}"


rule evaluate_features:
    input:
        adapt=reads(files.features_of, "adapt"),
        test=reads(files.features_of, "test"),
        features="cache/{model}/images/{dataset}/clean.h5",
        checked=made_from("evaluate_features"),
    output:
        csv="results/{model}/{benchmark}/ood_of_features/{dataset}.csv",
        curves="results/{model}/{benchmark}/ood_of_features/{dataset}_curves.csv",
        made_from="results/{model}/{benchmark}/ood_of_features/{dataset}.csv.made_from.json",
    log:
        "logs/evaluate_features/{model}/{benchmark}/{dataset}.log",
    benchmark:
        "logs/evaluate_features/{model}/{benchmark}/{dataset}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory_of("evaluate_features"),
        runtime=time_of("evaluate_features"),
    params:
        settings=settings_of("evaluate_features"),
    shell:
        "lpclip evaluate-features --adapt {input.adapt:q} --test {input.test:q}"
        " --features {input.features:q} --settings {params.settings:q} --output {output.csv:q}"
        " --curves {output.curves:q} --log {log:q} --threads {threads}"


rule evaluate_ood:
    input:
        probes="results/{model}/{benchmark}/{method}/probes.h5",
        test=reads(files.features_of, "test"),
        features="cache/{model}/images/{dataset}/clean.h5",
        of_features="results/{model}/{benchmark}/ood_of_features/{dataset}.csv",
        curves_of_features="results/{model}/{benchmark}/ood_of_features/{dataset}_curves.csv",
        checked=made_from("evaluate_ood"),
    output:
        ood="results/{model}/{benchmark}/{method}/ood/{dataset}.csv",
        curves="results/{model}/{benchmark}/{method}/ood_curves/{dataset}.csv",
        made_from="results/{model}/{benchmark}/{method}/ood/{dataset}.csv.made_from.json",
    log:
        "logs/evaluate_ood/{model}/{benchmark}/{method}/{dataset}.log",
    benchmark:
        "logs/evaluate_ood/{model}/{benchmark}/{method}/{dataset}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory_of("evaluate_ood"),
        runtime=time_of("evaluate_ood"),
    params:
        settings=settings_of("evaluate_ood"),
    shell:
        "lpclip evaluate-ood --probes {input.probes:q} --test {input.test:q}"
        " --features {input.features:q} --of-features {input.of_features:q}"
        " --curves-of-features {input.curves_of_features:q}"
        " --settings {params.settings:q} --output {output.ood:q} --curves {output.curves:q}"
        " --log {log:q} --threads {threads}"


rule evaluate_held_out:
    input:
        probes="results/{model}/{benchmark}/{method}/probes.h5",
        adapt=reads(files.features_of, "adapt"),
        checked=made_from("evaluate_held_out"),
    output:
        csv="results/{model}/{benchmark}/{method}/ood_held_out.csv",
        made_from="results/{model}/{benchmark}/{method}/ood_held_out.csv.made_from.json",
    log:
        "logs/evaluate_held_out/{model}/{benchmark}/{method}.log",
    benchmark:
        "logs/evaluate_held_out/{model}/{benchmark}/{method}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory_of("evaluate_held_out"),
        runtime=time_of("evaluate_held_out"),
    params:
        settings=settings_of("evaluate_held_out"),
    shell:
        "lpclip evaluate-held-out --probes {input.probes:q} --adapt {input.adapt:q}"
        " --settings {params.settings:q} --output {output.csv:q} --log {log:q} --threads {threads}"


rule evaluate_rounds:
    input:
        unpack(reads(files.round_inputs)),
        probes="results/{model}/{benchmark}/{method}/probes.h5",
        test=reads(files.features_of, "test"),
        adapt_samples=reads(files.samples_of, "adapt"),
        checked=made_from("evaluate_rounds"),
    output:
        rounds="results/{model}/{benchmark}/{method}/rounds.csv",
        per_class="results/{model}/{benchmark}/{method}/per_class.csv",
        confusion="results/{model}/{benchmark}/{method}/confusion.csv",
        made_from="results/{model}/{benchmark}/{method}/rounds.csv.made_from.json",
    log:
        "logs/evaluate_rounds/{model}/{benchmark}/{method}.log",
    benchmark:
        "logs/evaluate_rounds/{model}/{benchmark}/{method}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory_of("evaluate_rounds"),
        runtime=time_of("evaluate_rounds"),
    params:
        settings=settings_of("evaluate_rounds"),
        files=options(["test_samples"]),
    shell:
        "lpclip evaluate-rounds --probes {input.probes:q} --test {input.test:q}"
        " {params.files:q} --adapt-samples {input.adapt_samples:q}"
        " --settings {params.settings:q} --output {output.rounds:q}"
        " --per-class {output.per_class:q} --confusion {output.confusion:q}"
        " --log {log:q} --threads {threads}"


rule evaluate_samples:
    input:
        probes="results/{model}/{benchmark}/{method}/probes.h5",
        features=reads(files.evaluated_features),
        samples=reads(files.evaluated_samples),
        checked=made_from("evaluate_samples"),
    output:
        comparisons="results/{model}/{benchmark}/{method}/comparisons.csv",
        reliability="results/{model}/{benchmark}/{method}/reliability.csv",
        predictions="results/{model}/{benchmark}/{method}/predictions.h5",
        made_from="results/{model}/{benchmark}/{method}/comparisons.csv.made_from.json",
    log:
        "logs/evaluate_samples/{model}/{benchmark}/{method}.log",
    benchmark:
        "logs/evaluate_samples/{model}/{benchmark}/{method}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory_of("evaluate_samples"),
        runtime=time_of("evaluate_samples"),
    params:
        settings=settings_of("evaluate_samples"),
    shell:
        "lpclip evaluate-samples --probes {input.probes:q} --features {input.features:q}"
        " --samples {input.samples:q} --settings {params.settings:q}"
        " --output {output.comparisons:q} --reliability {output.reliability:q}"
        " --predictions {output.predictions:q} --log {log:q} --threads {threads}"


rule predictions:
    input:
        parts=of_experiments("predictions.h5"),
        checked=made_from("predictions"),
    output:
        "results/predictions.h5",
    log:
        "logs/predictions.log",
    benchmark:
        "logs/predictions.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory_of("predictions"),
        runtime=time_of("predictions"),
    params:
        settings=settings_of("predictions"),
    shell:
        "lpclip predictions --parts {input.parts:q} --settings {params.settings:q}"
        " --output {output:q} --log {log:q} --threads {threads}"


rule estimate_gains:
    input:
        text=reads(files.text_of),
        features=reads(files.adapt_features),
        probes=reads(estimates.probes),
        checked=made_from("estimate_gains"),
    output:
        csv="results/{model}/{benchmark}/estimates.csv",
        made_from="results/{model}/{benchmark}/estimates.csv.made_from.json",
    log:
        "logs/estimate_gains/{model}/{benchmark}.log",
    benchmark:
        "logs/estimate_gains/{model}/{benchmark}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory_of("estimate_gains"),
        runtime=time_of("estimate_gains"),
    params:
        settings=settings_of("estimate_gains"),
    shell:
        "lpclip estimate-gains --text {input.text:q} --features {input.features:q}"
        " --probes {input.probes:q} --settings {params.settings:q} --output {output.csv:q}"
        " --log {log:q} --threads {threads}"
