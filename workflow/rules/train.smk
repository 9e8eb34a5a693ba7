rule train_probe:
    input:
        unpack(reads(files.method_inputs)),
        text=reads(files.text_of),
        checked=made_from("train_probe"),
    output:
        "results/{model}/{benchmark}/{method}/probes.h5",
    log:
        "logs/train_probe/{model}/{benchmark}/{method}.log",
    benchmark:
        "logs/train_probe/{model}/{benchmark}/{method}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory_of("train_probe"),
        runtime=time_of("train_probe"),
        gpu=gpu_of("train_probe"),
    params:
        settings=settings_of("train_probe"),
        files=options(INPUTS),
    shell:
        "lpclip train-probe --text {input.text:q} {params.files:q}"
        " --settings {params.settings:q} --output {output:q} --log {log:q} --threads {threads}"
