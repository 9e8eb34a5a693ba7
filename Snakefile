from snakemake.utils import min_version

min_version("9.0")


# A file given with --configfile replaces this one, so that a report on other images leaves out the
# digits.
# A module has the configuration and the report of the workflow that uses it.
if workflow.modifier.is_main_snakefile():

    report: "workflow/report/workflow.rst"

    if not workflow.overwrite_configfiles:

        configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/index.smk"
include: "workflow/rules/embed.smk"
include: "workflow/rules/copy.smk"
include: "workflow/rules/pseudo_labels.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/run.smk"


rule all:
    input:
        "results/report.csv",
        "results/report.html",
        "results/predictions.h5",


onstart:
    start_run()


onsuccess:
    print_summary()


onerror:
    print_failures()
