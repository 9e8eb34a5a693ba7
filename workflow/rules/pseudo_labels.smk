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
        mem_mb=8000,
        runtime=30,
    params:
        settings=settings_of("pseudo_labels"),
    shell:
        "lpclip pseudo-labels --text {input.text:q} --features {input.features:q}"
        " --settings {params.settings:q} --output {output:q} --log {log:q} --threads {threads}"
