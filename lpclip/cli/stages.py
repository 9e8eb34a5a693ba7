"""The stages of the workflow, each a command of its own."""

from collections.abc import Mapping
from typing import NamedTuple


class Stage(NamedTuple):
    """A stage of the workflow."""

    function: str  # ``module:name`` of what it runs
    summary: str  # one line for the overview
    main_file: str = ""  # of an output folder: the file that the record of the stage lies next to


STAGES: Mapping[str, Stage] = {
    "index-samples": Stage("lpclip.data.index:index_samples", "list the images of a dataset"),
    "count-samples": Stage("lpclip.data.count:count_samples", "count the images of an index"),
    "embed-text": Stage("lpclip.features.text:embed_text", "embed class names: the zero-shot head"),
    "embed-images": Stage(
        "lpclip.features.images:embed_images", "embed views of a dataset's images"
    ),
    "copy-text": Stage("lpclip.features.imported:copy_text", "copy precomputed text features"),
    "copy-features": Stage("lpclip.features.imported:copy_features", "copy precomputed features"),
    "pseudo-labels": Stage(
        "lpclip.methods.labelling.pseudo_labels:pseudo_labels", "label the adapt set by zero-shot"
    ),
    "describe-pool": Stage(
        "lpclip.methods.pool:describe", "describe the adapt set without a label"
    ),
    "train-probe": Stage("lpclip.methods.train:train_probe", "train the probes of a method"),
    "estimate-gains": Stage(
        "lpclip.methods.estimates:estimate_gains", "estimate gains of a sweep without a label"
    ),
    "evaluate": Stage(
        "lpclip.evaluation.robustness:evaluate", "accuracy and calibration on a set's views"
    ),
    "evaluate-features": Stage(
        "lpclip.evaluation.feature_detection:evaluate_features", "OOD detection without a head"
    ),
    "evaluate-ood": Stage("lpclip.evaluation.detection:evaluate_ood", "OOD detection"),
    "evaluate-held-out": Stage(
        "lpclip.evaluation.held_out:evaluate_held_out", "which OOD score detects held-out classes"
    ),
    "evaluate-rounds": Stage(
        "lpclip.evaluation.rounds:evaluate_rounds", "accuracy and pseudo-labels of every round"
    ),
    "evaluate-samples": Stage(
        "lpclip.evaluation.paired:evaluate_samples", "image by image, compared with zero-shot"
    ),
    "predictions": Stage(
        "lpclip.evaluation.predictions:predictions", "gather the predictions of all methods"
    ),
    "pictures": Stage(
        "lpclip.reporting.page.pictures:pictures", "pictures of test images for the page"
    ),
    "report": Stage(
        "lpclip.reporting.stage:report",
        "gather the evaluation into reports and figures",
        main_file="report.csv",
    ),
    "thumbnails": Stage(
        "lpclip.data.thumbnails:thumbnails", "small pictures of a dataset's images"
    ),
    "layout": Stage(
        "lpclip.evaluation.layout:layout", "a place in the plane for every image of a benchmark"
    ),
    "explorer": Stage(
        "lpclip.reporting.explorer.stage:explorer", "show the images on a map, as one HTML file"
    ),
    "page": Stage("lpclip.reporting.page.stage:page", "show the reports as one HTML file"),
}
