rule copy_text:
    input:
        text=reads_given(files.text_feature_files),
        model=reads_given(files.model_files),
        checked=made_from("copy_text"),
    output:
        "cache/{model}/text/{benchmark}.h5",
    log:
        "logs/copy_text/{model}/{benchmark}.log",
    benchmark:
        "logs/copy_text/{model}/{benchmark}.tsv"
    wildcard_constraints:
        benchmark=one_of(files.texts(CONFIG, precomputed=True)),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory_of("copy_text"),
        runtime=time_of("copy_text"),
    params:
        settings=settings_of("copy_text"),
    shell:
        "lpclip copy-text --settings {params.settings:q} --output {output:q}"
        " --log {log:q} --threads {threads}"


rule copy_features:
    input:
        samples="cache/data/{dataset}/samples.h5",
        features=reads_given(files.feature_files),
        model=reads_given(files.model_files),
        checked=made_from("copy_features"),
    output:
        "cache/{model}/images/{dataset}/{views}.h5",
    log:
        "logs/copy_features/{model}/{dataset}/{views}.log",
    benchmark:
        "logs/copy_features/{model}/{dataset}/{views}.tsv"
    wildcard_constraints:
        dataset=one_of(files.datasets(CONFIG, images=False)),
        views="clean",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory_of("copy_features"),
        runtime=time_of("copy_features"),
    params:
        settings=settings_of("copy_features"),
    shell:
        "lpclip copy-features --samples {input.samples:q} --settings {params.settings:q}"
        " --output {output:q} --log {log:q} --threads {threads}"
