"""LP-CLIP: a linear probe learns zero-shot CLIP's pseudo-labels, then its own, in rounds.

No file that this module can reach holds a label.
"""

from collections.abc import Sequence
from dataclasses import replace

from lpclip.methods.base import Inputs
from lpclip.methods.labelling.pseudo_labels import described
from lpclip.methods.labelling.settings import Labelling
from lpclip.methods.training.self_training_settings import Settings as Settings
from lpclip.storage.features import view_settings
from lpclip.storage.hdf5 import read_provenance
from lpclip.storage.probes import Probes
from lpclip.storage.pseudo_labels import PseudoLabels, read_pseudo_labels
from lpclip.storage.text import ZeroShotHead, text_fingerprint
from lpclip.utils.progress import progress

NEEDS: tuple[str, ...] = ("pseudo_labels", "adapt")
USES_GPU = True


def fit(head: ZeroShotHead, inputs: Inputs, settings: Settings, seeds: Sequence[int]) -> Probes:
    """Run the rounds of all seeds together."""
    # PyTorch, which no start of Snakemake has to wait for.
    from lpclip.methods.training.pool import read_pool
    from lpclip.methods.training.self_training import self_train

    adapt = inputs["adapt"]
    pool = read_pool(head, adapt, settings)
    labels = _read_pseudo_labels(inputs, head, settings.labelling)
    with progress(total=settings.rounds, unit="rounds", label="train") as shown:
        probes = self_train(head, pool, settings, seeds, labels=labels, after_round=shown.add)
    policy = ""
    if settings.student_view in ("both", "strong"):
        strong = view_settings(adapt)["strong"]
        made_by = strong.get("made_by", {}).get("kind")  # of a plugin
        policy = str(made_by or strong.get("policy", "disjoint"))
    return replace(probes, strong_policy=policy, student_view=settings.student_view)


def _read_pseudo_labels(inputs: Inputs, head: ZeroShotHead, labelling: Labelling) -> PseudoLabels:
    expected = {
        **head.expected,
        "text": text_fingerprint(head.weight),
        "index": read_provenance(inputs["adapt"], kind="features")["index"],
        "labelling": described(labelling),
    }
    soft = labelling.labels == "soft"
    return read_pseudo_labels(inputs["pseudo_labels"], expected=expected, probabilities=soft)
