"""Settings that every adapter has."""

from lpclip.methods.labelling.settings import TeacherView
from lpclip.utils.settings import settings_class


@settings_class
class AdapterSettings:
    """What an adapter sees of the pool."""

    view: TeacherView = "weak"
    """The view of the unlabelled images: weak is the mean over the versions of the weak view, as
    the teacher of self-training sees them. clean is used whatever is set where the adapt set has
    only features."""
