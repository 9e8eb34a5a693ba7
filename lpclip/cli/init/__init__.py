"""The command ``lpclip init``: from a folder of images to a project that Snakemake runs."""
