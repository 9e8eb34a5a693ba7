rule index_samples:
    input:
        source=source_files,
    output:
        "cache/data/{dataset}/samples.h5",
    log:
        "logs/index_samples/{dataset}.log",
    benchmark:
        "logs/index_samples/{dataset}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        settings=settings_of("index_samples"),
    shell:
        "lpclip index-samples --settings {params.settings:q} --output {output:q}"
        " --log {log:q} --threads {threads}"
