# Whether an output that lies there is the one that the configuration asks for.

_printed, _known = set(), {}


def made_from(rule):
    """Input function without files: an output that was made from something else is made again.

    Snakemake compares with its own notes in .snakemake, which are lost where hidden files are not
    copied, and know nothing of another project that writes in the same cache. So what the output
    itself holds is compared as well.
    """

    def check(wildcards):
        path = main_output(rule, wildcards)
        if path.is_file() and (change := change_of(rule, wildcards, path)):
            workflow.dag.forcefiles.add(str(path))
            if (rule, change) not in _printed:
                _printed.add((rule, change))
                text = f"{path} is made again: it was made from {change}."
                logger.info(visible(text))
        return []

    return check


def main_output(rule, wildcards):
    """The output of a job that has the record of what it was made from in it or next to it."""
    output = getattr(rules, rule).output
    pattern = output.get("made_from") or output[0]
    return Path(pattern.format(**dict(wildcards.items())).removesuffix(RECORD_ENDING))


def other_hdf5(rule, wildcards, path):
    """HDF5 files that a job writes besides its main output."""
    outputs = [
        Path(pattern.format(**dict(wildcards.items())))
        for pattern in getattr(rules, rule).output
    ]
    return [each for each in outputs if each.suffix == ".h5" and each != path]


def change_of(rule, wildcards, path):
    """What an output was made from that is no longer so, in words.

    One that cannot be read is left to the job that reads it.
    """
    try:
        change = made_from_something_else(
            path,
            current_settings(rule, wildcards),
            siblings=other_hdf5(rule, wildcards, path),
            known=_known,
        )
        lists_images = rule == "index_samples"
        if lists_images and change is None:
            change = changed_image(path, SOURCES[wildcards.dataset])
            return change and f"other images: {change}"
    except LpclipError:
        return None
    except Exception:
        # Snakemake takes a job whose input function fails for one that is not needed.
        traceback.print_exc()
        os._exit(1)
    return change
