import json
import os
import re
import sys
import time
import traceback
from importlib.metadata import version
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from lpclip.data.class_maps import IMAGENET
from lpclip.utils.code_hash import code_hash
from lpclip.config.check import complete, open_sources, training_views
from lpclip.config.datasets import with_class_maps
from lpclip.config.yaml_text import check_files
from lpclip.config.labels import evaluated_set, has_labelled_test
from lpclip.config.precomputed import datasets_of
from lpclip.transforms.corruptions.registry import FAMILIES, SEVERITIES
from lpclip.data.registry import has_images
from lpclip.data.official import official_corruptions
from lpclip.data.registry import modules as modules_of_source
from lpclip.errors import LpclipError
from lpclip.utils.failures import failures
from lpclip.storage.arrays.registry import open_arrays
from lpclip.data.image_sizes import changed_image
from lpclip.methods.registry import needs, used_seeds
from lpclip.models.spec import files_hash, local_files
from lpclip.reporting.page.assets import assets_hash, shown_configuration
from lpclip.utils.writable import check_writable
from lpclip.utils.printing import visible
from lpclip.utils.run_owner import note_owner, remove_lock_of_killed_run
from lpclip.storage.made_from import ENDING as RECORD_ENDING
from lpclip.storage.made_from import made_from_something_else
from lpclip.storage.marks import marks_of
from lpclip.models.tiny import WEIGHTS


envvars:
    "PATH",


# Jobs find the command that is installed beside this Python, whether or not its environment is
# active.
os.environ["PATH"] = os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ["PATH"]]
)

if workflow.is_main_process and remove_lock_of_killed_run(Path.cwd()):
    logger.info("The last run in this folder was killed; this one goes on from there.")

try:
    check_writable(Path.cwd())
    check_files(workflow.configfiles)
    config = complete(
        config, Path(workflow.basedir) / "workflow/schemas/config.schema.yaml"
    )
except LpclipError as error:
    raise WorkflowError(str(error))

STARTED = time.time()
SOURCES = open_sources(config)
ENVIRONMENT = "../../environment.yml"
MODELS, DATASETS, BENCHMARKS = (
    config["models"],
    config["datasets"],
    config["benchmarks"],
)
METHODS, LABELLINGS = config["methods"], config["labellings"]
# What is embedded here, and what was embedded before and is copied.
IMAGES = [name for name in DATASETS if has_images(DATASETS[name]["source"])]
FEATURES = [name for name in DATASETS if name not in IMAGES]
TEXT_FEATURES = [name for name in BENCHMARKS if "text_features" in BENCHMARKS[name]]
TEXTS = [name for name in BENCHMARKS if name not in TEXT_FEATURES]
# What accuracy can be told of.
RENAMED = with_class_maps(config, SOURCES)
LABELLED = [n for n in BENCHMARKS if has_labelled_test(BENCHMARKS[n], RENAMED)]


def one_of(names):
    """Regular expression that matches the names, nothing where there is none."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    model=one_of(MODELS),
    dataset=one_of(DATASETS),
    benchmark=one_of(BENCHMARKS),
    method=one_of(METHODS),
    labelling=one_of(LABELLINGS),
    views=one_of(["clean", "adapt", *FAMILIES]),
