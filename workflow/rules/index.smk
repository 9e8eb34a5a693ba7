rule index_samples:
    input:
        source=reads(files.source_files),
        class_map=reads(files.class_map_file),
        checked=made_from("index_samples"),
    output:
        "cache/data/{dataset}/samples.h5",
    log:
        "logs/index_samples/{dataset}.log",
    benchmark:
        "logs/index_samples/{dataset}.tsv"
    conda:
        ENVIRONMENT
    threads: lambda wildcards: max(1, reads(files.index_workers)(wildcards))
    resources:
        mem_mb=memory_of("index_samples"),
        runtime=time_of("index_samples"),
        workers=reads(files.index_workers),
    params:
        settings=settings_of("index_samples"),
    shell:
        "lpclip index-samples --settings {params.settings:q} --output {output:q}"
        " --workers {resources.workers} --log {log:q} --threads {threads}"
