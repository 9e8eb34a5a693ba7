"""Points of sweeps whose gain is estimated without a label: what the stage reads and receives."""

from collections.abc import Mapping

from lpclip.config import files
from lpclip.config.checked import Checked
from lpclip.config.files import Wildcards
from lpclip.config.methods import Method
from lpclip.config.stage_parts import Given
from lpclip.config.transductive import methods_of
from lpclip.methods.registry import predicts_pool_alone, sees_labels
from lpclip.utils.code_hash import code_hash

ZERO_SHOT = "zero_shot"


def estimated(config: Checked, benchmark: str) -> list[str]:
    """Return the points on a benchmark that have heads of their own and saw no label."""
    return [name for name in methods_of(config, benchmark) if _can_be(config, name)]


def probes(config: Checked, wildcards: Wildcards) -> list[str]:
    """Return the probes of these points."""
    results = f"results/{wildcards['model']}/{wildcards['benchmark']}"
    names = estimated(config, wildcards["benchmark"])
    return [f"{results}/{name}/probes.h5" for name in names]


def tables(config: Checked) -> list[str]:
    """Return the estimates of every model and benchmark that has such points."""
    return [
        f"results/{model}/{benchmark}/estimates.csv"
        for model, benchmark in config.pairs()
        if estimated(config, benchmark)
    ]


def estimate_gains(config: Checked, wildcards: Wildcards) -> Given:
    """Return which points there are, how they were trained, and the view that is examined."""
    names = estimated(config, wildcards["benchmark"])
    return {
        "benchmark": wildcards["benchmark"],
        "trained": {name: _trained(config, config.methods[name]) for name in names},
        "sweeps": {name: config.sweeps.methods[name].sweep for name in names},
        "view": files.training_views("both", images=files.adapts_on_images(config, wildcards))[1],
        "code": code_hash("lpclip.methods.estimates"),
    }


def points(config: Checked) -> Given:
    """Return what the report receives of sweeps; nothing where there are none."""
    sections: Mapping[str, Mapping[str, object]] = {
        section: {
            name: {"sweep": point.sweep, "varied": dict(point.varied)}
            for name, point in found.items()
        }
        for section, found in (("models", config.sweeps.models), ("methods", config.sweeps.methods))
    }
    return {"sweeps": sections} if any(sections.values()) else {}


def _can_be(config: Checked, name: str) -> bool:
    if name not in config.sweeps.methods:
        return False
    method: Method | None = config.methods[name]
    if method is not None and method.kind == ZERO_SHOT:
        return False
    while method is not None:
        if sees_labels(method.kind) or predicts_pool_alone(method.kind):
            return False
        method = None if method.base is None else config.methods[method.base]
    return True


def _trained(config: Checked, method: Method) -> str:
    """Return how a method, or what it is made from, was trained: by which prior, or its kind."""
    while method.base is not None:
        method = config.methods[method.base]
    if method.kind == "self_training" and method.labelling is not None:
        return config.labellings[method.labelling].prior
    return method.kind
