rule embed_text:
    input:
        model=reads_given(files.model_files),
        checked=made_from("embed_text"),
    output:
        "cache/{model}/text/{benchmark}.h5",
    log:
        "logs/embed_text/{model}/{benchmark}.log",
    benchmark:
        "logs/embed_text/{model}/{benchmark}.tsv"
    wildcard_constraints:
        benchmark=one_of(files.texts(CONFIG, precomputed=False)),
    conda:
        ENVIRONMENT
    threads: COMPUTE.threads
    resources:
        mem_mb=memory_of("embed_text"),
        runtime=time_of("embed_text"),
        gpu=gpu_of("embed_text"),
        device=lambda wildcards: CONFIG.models[wildcards.model].device,
    params:
        settings=settings_of("embed_text"),
    shell:
        "lpclip embed-text --settings {params.settings:q} --output {output:q}"
        " --device {resources.device:q} --log {log:q} --threads {threads}"


# Some rows of a large set, which embed_images joins and frees.
rule embed_shard:
    input:
        samples="cache/data/{dataset}/samples.h5",
        model=reads_given(files.model_files),
        checked=made_from("embed_shard"),
    output:
        temp("cache/{model}/images/{dataset}/{views}.shards/{start}-{stop}.h5"),
    log:
        text="logs/embed_images/{model}/{dataset}/{views}.shards/{start}-{stop}.log",
        timings="logs/embed_images/{model}/{dataset}/{views}.shards/{start}-{stop}.timings.tsv",
    benchmark:
        "logs/embed_images/{model}/{dataset}/{views}.shards/{start}-{stop}.tsv"
    wildcard_constraints:
        dataset=one_of(files.datasets(CONFIG, images=True)),
        start="[0-9]+",
        stop="[0-9]+",
    conda:
        ENVIRONMENT
    threads: COMPUTE.threads
    resources:
        mem_mb=memory_of("embed_shard"),
        runtime=time_of("embed_shard"),
        gpu=gpu_of("embed_shard"),
        workers=COMPUTE.workers,
        device=lambda wildcards: CONFIG.models[wildcards.model].device,
    params:
        settings=settings_of("embed_shard"),
    shell:
        "lpclip embed-images --samples {input.samples:q} --settings {params.settings:q}"
        " --rows {wildcards.start} {wildcards.stop} --output {output:q}"
        " --workers {resources.workers} --device {resources.device:q}"
        " --timings {log.timings:q} --log {log.text:q} --threads {threads}"


rule embed_images:
    input:
        samples="cache/data/{dataset}/samples.h5",
        model=reads_given(files.model_files),
        shards=shards_of("embed_images"),
        checked=made_from("embed_images"),
    output:
        "cache/{model}/images/{dataset}/{views}.h5",
    log:
        text="logs/embed_images/{model}/{dataset}/{views}.log",
        timings="logs/embed_images/{model}/{dataset}/{views}.timings.tsv",
    benchmark:
        "logs/embed_images/{model}/{dataset}/{views}.tsv"
    wildcard_constraints:
        dataset=one_of(files.datasets(CONFIG, images=True)),
    conda:
        ENVIRONMENT
    threads: lambda wildcards, input: 1 if input.shards else COMPUTE.threads
    resources:
        mem_mb=memory_of("embed_images"),
        runtime=time_of("embed_images"),
        gpu=gpu_of("embed_images"),
        workers=COMPUTE.workers,
        device=lambda wildcards: CONFIG.models[wildcards.model].device,
    params:
        settings=settings_of("embed_images"),
    shell:
        "lpclip embed-images --samples {input.samples:q} --settings {params.settings:q}"
        " --shards {input.shards:q} --output {output:q}"
        " --workers {resources.workers} --device {resources.device:q}"
        " --timings {log.timings:q} --log {log.text:q} --threads {threads}"
