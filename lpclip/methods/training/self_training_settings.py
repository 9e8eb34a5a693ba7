"""Settings of self-training."""

from dataclasses import field
from typing import Annotated, Literal

from annotated_types import Ge, Lt

from lpclip.methods.labelling.settings import Labelling, TeacherView
from lpclip.methods.training.settings import Optimisation
from lpclip.utils.settings import Count, Positive, Share, Written, settings_class


@settings_class
class Collapse:
    """When a round counts as collapsed, compared with the round before."""

    coverage: Share = 0.5
    """The share of samples that are kept falls below this share of what it was."""
    balance: Share = 0.8
    """The balance of the predicted classes falls below this share of what it was."""
    agreement: Share = 0.5
    """Student and teacher predict the same class for fewer samples than this share."""


@settings_class
class Settings:
    """How the rounds of self-training run."""

    labelling: Annotated[Labelling, Written(str)] = field(default_factory=Labelling)
    """How a teacher's predictions become targets, in every round: a name of the section
    labellings."""
    rounds: Count = 3
    """How many rounds, after round 0, the zero-shot head."""
    class_weighting: Share = 0.5
    """The loss of a sample is multiplied by the frequency of its pseudo-label to this negative
    power: 0 follows the frequencies of the unlabelled set, 1 evens them out."""
    start: Literal["text", "previous", "zero"] = "text"
    """Where the student of each round starts: the text features, the probe of the round before, or
    zero."""
    teacher_decay: Annotated[float, Ge(0), Lt(1)] = 0.0
    """The teacher is a moving average of the probes: this share of the last teacher stays; 0 makes
    the last probe the teacher."""
    student_view: Literal["both", "strong", "weak", "clean"] = "both"
    """What the student learns from: strong views, weak ones, or both, half of the versions of each,
    so that training takes no longer. clean leaves random views out, for the teachers of later
    rounds too, and is used whatever is set where the adapt set has only features."""
    teacher_view: Annotated[TeacherView, Written()] = "weak"
    """What the teacher labels."""
    memory_gb: Positive | None = None
    """compute.memory_gb of this method. Views of teacher and student that take more together
    (float32) are not held: the student's are streamed from the cache in every pass, as much at once
    as the teacher's leave, at least half of it, in shuffled blocks of 1024 rows that are shuffled
    again together; that is another order than in memory, and so another result. The teacher's stay
    on the disk if they take more than half, which changes nothing."""
    optimisation: Optimisation = field(default_factory=Optimisation)
    """How each student is trained."""
    collapse: Collapse = field(default_factory=Collapse)
    """When a round is dropped and its seed ends."""
