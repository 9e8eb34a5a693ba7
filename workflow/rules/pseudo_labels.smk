rule pseudo_labels:
    input:
        text=reads(files.text_of),
        features=reads(files.adapt_features),
        checked=made_from("pseudo_labels"),
    output:
        "results/{model}/{benchmark}/pseudo_labels/{labelling}.h5",
    log:
        "logs/pseudo_labels/{model}/{benchmark}/{labelling}.log",
    benchmark:
        "logs/pseudo_labels/{model}/{benchmark}/{labelling}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory_of("pseudo_labels"),
        runtime=time_of("pseudo_labels"),
    params:
        settings=settings_of("pseudo_labels"),
    shell:
        "lpclip pseudo-labels --text {input.text:q} --features {input.features:q}"
        " --settings {params.settings:q} --output {output:q} --log {log:q} --threads {threads}"


rule describe_pool:
    input:
        text=reads(files.text_of),
        features=reads(files.adapt_features),
        clean=reads(files.features_of, "adapt"),
        test=reads(files.features_of, "test"),
        checked=made_from("describe_pool"),
    output:
        pool="results/{model}/{benchmark}/pool.csv",
        classes="results/{model}/{benchmark}/pool_classes.csv",
        made_from="results/{model}/{benchmark}/pool.csv.made_from.json",
    log:
        "logs/describe_pool/{model}/{benchmark}.log",
    benchmark:
        "logs/describe_pool/{model}/{benchmark}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory_of("describe_pool"),
        runtime=time_of("describe_pool"),
    params:
        settings=settings_of("describe_pool"),
    shell:
        "lpclip describe-pool --text {input.text:q} --features {input.features:q}"
        " --clean {input.clean:q} --test {input.test:q} --settings {params.settings:q}"
        " --output {output.pool:q} --classes {output.classes:q} --log {log:q} --threads {threads}"
