rule index_samples:
    input:
        source=reads_given(files.source_files),
        class_map=reads_given(files.class_map_file),
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


localrules:
    count_samples,


# Only of sets that may be larger than a shard: how many images there are divides them.
checkpoint count_samples:
    input:
        samples="cache/data/{dataset}/samples.h5",
        checked=made_from("count_samples"),
    output:
        "cache/data/{dataset}/count.json",
    log:
        "logs/count_samples/{dataset}.log",
    benchmark:
        "logs/count_samples/{dataset}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory_of("count_samples"),
        runtime=time_of("count_samples"),
    params:
        settings=settings_of("count_samples"),
    shell:
        "lpclip count-samples --samples {input.samples:q} --settings {params.settings:q}"
        " --output {output:q} --log {log:q} --threads {threads}"
