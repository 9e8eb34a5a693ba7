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


rule all:
    input:
        "results/report.csv",
        "results/report.html",
        "results/predictions.h5",


onstart:
    note_owner(Path.cwd())
    check_submitted()
    if shares_imports():
        start_job_server()


# Last of all, so that it is not buried under the commands that Snakemake prints.
onerror:
    for path, reason in failures(Path(rules.report.log[0]).parent, since=STARTED).items():
        print(f"\n{visible(reason)}\n(log: {path})", file=sys.stderr)


onsuccess:
    if Path(rules.report.output[0]).is_file():
        shell("lpclip summary {rules.report.output[0]:q}")
