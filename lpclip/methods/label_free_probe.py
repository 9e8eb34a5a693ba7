"""The workflow's label-free probes as a scikit-learn estimator: arrays in, no files."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from lpclip.errors import LpclipError, check_known
from lpclip.methods.from_arrays import self_train_probes, train_guarded_probes
from lpclip.methods.guard_decision import GuardDecision, decision_of
from lpclip.storage.features import normalise
from lpclip.storage.probe import Probe
from lpclip.storage.probes import Probes
from lpclip.storage.text import ZeroShotHead
from lpclip.types import FloatArray

METHODS = ("guarded", "self_training")
# Rows whose length differs from 1 by less are of unit length, as single precision rounds it.
_ROUNDING = 1e-6
# The square of larger numbers is not a number of single precision.
_LARGEST = 1e15


class LabelFreeProbe(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A linear probe on CLIP's features that is trained without a label.

    ``fit`` calls the functions of the workflow's method of the same name: on the features of a
    cache and with the same settings and seeds it gives the same probe, bit for bit (on one device,
    with one number of threads, where the workflow held the features in memory). A cache holds
    features as float16.

    >>> import numpy as np
    >>> from lpclip import LabelFreeProbe
    >>> rng = np.random.default_rng(2)
    >>> classes = rng.normal(size=(4, 32))
    >>> text = classes + 2 * rng.normal(size=(4, 32))  # features of four class names
    >>> names = ["ant", "bee", "cat", "dog"]
    >>> labels = rng.integers(4, size=200)  # for the score below alone
    >>> images = classes[labels] + rng.normal(size=(200, 32))  # features of unlabelled images
    >>> probe = LabelFreeProbe(text, scale=20, class_names=names).fit(images)
    >>> probe.decision_.candidate, probe.decision_.strength
    ('lp_clip_auto', 0.75)
    >>> probe.score(images, np.array(names)[labels])  # zero-shot: 0.725
    0.76
    >>> probe.predict(images[:3]).tolist()
    ['dog', 'bee', 'ant']
    >>> probe.predict_proba(images[:3]).shape
    (3, 4)

    Args:
        text_features: ``[C, D]``, one row per class: the text encoder's features of its prompts, or
            their mean. Rows of unit length are used as they are, others are divided by their
            length.
        scale: what the model multiplies cosines with: ``exp(logit_scale)``, about 100 for most
            CLIP models.
        bias: what it adds to its logits: ``logit_bias`` of SigLIP, 0 for CLIP.
        class_names: C names, which ``predict`` returns; None for the numbers 0 to C - 1.
        method: ``guarded``, the recommended one, which ships the first of several candidates whose
            estimated gain over zero-shot is sure enough, and zero-shot where none is; or
            ``self_training``.
        settings: of the method, by the names of a configuration, with a labelling written out:
            ``{"rounds": 5, "labelling": {"threshold": 0.5}}``. What is left out has the
            configuration's default; the candidates of ``guarded`` are those of the default
            configuration.
        random_state: seed. Several are trained together, as in the workflow: the guard decides once
            for all, and the head of the first predicts.

    Attributes:
        classes_: class names, or their numbers, ``[C]``.
        decision_: what the guard ships, and why; None for ``self_training``.
        probe_: the head that predicts.
        probes_: the heads of every round and seed, with what each round learned.
        n_features_in_: D.
    """

    def __init__(
        self,
        text_features: npt.ArrayLike,
        *,
        scale: float = 100.0,
        bias: float = 0.0,
        class_names: Sequence[str] | None = None,
        method: str = "guarded",
        settings: Mapping[str, Any] | None = None,
        random_state: int | Sequence[int] = 0,
    ) -> None:
        self.text_features = text_features
        self.scale = scale
        self.bias = bias
        self.class_names = class_names
        self.method = method
        self.settings = settings
        self.random_state = random_state

    def fit(
        self,
        X: npt.ArrayLike,  # noqa: N803
        y: object = None,  # noqa: ARG002
        *,
        weak: npt.ArrayLike | None = None,
        strong: npt.ArrayLike | None = None,
    ) -> Self:
        """Train on the features of unlabelled images.

        Args:
            X: ``[N, D]``, as the image encoder gives them; their length does not count.
            y: ignored; no label is read.
            weak: features ``[V, N, D]`` of weakly changed versions of the same images.
            strong: features ``[W, N, D]`` of strongly changed ones. With both, teachers label the
                weak views and students learn from what the setting ``student_view`` names; without,
                X is what both see, as with ``student_view: clean``.

        Raises:
            ValueError: features that are not finite, have another shape, or another D than the
                text.
            LpclipError: text features, class names, settings or seeds that cannot be used.
        """
        check_known(self.method, METHODS, f"LabelFreeProbe has no method '{self.method}'.")
        seeds = _seeds(self.random_state)
        clean = _unit(validate_data(self, X, dtype=np.float32))
        head = self._head()
        if clean.shape[1] != head.weight.shape[1]:
            raise ValueError(
                f"X has {clean.shape[1]} features, but text_features have {head.weight.shape[1]}; "
                "one model makes features of one width."
            )
        views = {"clean": clean[None]}
        if (weak is None) != (strong is None):
            raise ValueError("fit takes both weak and strong views, or neither.")
        if weak is not None and strong is not None:
            for name, values in (("weak", weak), ("strong", strong)):
                views[name] = _versions(values, clean.shape, name)
        train = train_guarded_probes if self.method == "guarded" else self_train_probes
        self.probes_: Probes = train(head, views, self.settings or {}, seeds)
        self.classes_: npt.NDArray[Any] = np.array(
            range(len(head.weight)) if self.class_names is None else head.class_names
        )
        guard = self.probes_.guard
        self.decision_: GuardDecision | None = None if guard is None else decision_of(guard)
        weight, bias = (values[-1, 0] for values in (self.probes_.weight, self.probes_.bias))
        self.probe_ = Probe(weight, bias, head.scale, head.class_names)
        return self

    def decision_function(self, X: npt.ArrayLike) -> FloatArray:  # noqa: N803
        """Return logits ``[N, C]``; of two classes the second's less the first's, ``[N]``."""
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:  # noqa: N803
        """Return the most probable class of each row, ``[N]``."""
        logits = self._logits(X)
        found: npt.NDArray[Any] = self.classes_[logits.argmax(axis=1)]
        return found

    def predict_proba(self, X: npt.ArrayLike) -> FloatArray:  # noqa: N803
        """Return the probabilities of the classes, ``[N, C]`` float64."""
        probabilities: FloatArray = softmax(self._logits(X), axis=1)
        return probabilities

    def _logits(self, X: npt.ArrayLike) -> FloatArray:  # noqa: N803
        check_is_fitted(self)
        unit = _unit(validate_data(self, X, dtype=np.float32, reset=False))
        # In double precision: the prediction of a row must not depend on the other rows.
        cosines = unit.astype(np.float64) @ self.probe_.weight.astype(np.float64).T
        logits: FloatArray = self.probe_.scale * cosines + self.probe_.bias
        return logits

    def _head(self) -> ZeroShotHead:
        """Return zero-shot, from the arguments.

        Raises:
            LpclipError: they do not fit together.
        """
        text = check_array(self.text_features, input_name="text_features")
        length = np.linalg.norm(text.astype(np.float64), axis=1)
        if len(text) < 2 or not length.all():
            raise LpclipError(
                f"text_features takes a row, not of zeros, for each of two or more classes, not "
                f"{len(text)} rows, {np.count_nonzero(length == 0)} of them of zeros."
            )
        if np.abs(length - 1).max() > _ROUNDING:
            text = normalise(text.astype(np.float64))
        names = self.class_names
        if names is None:
            names = [str(number) for number in range(len(text))]
        if len(names) != len(text) or len(set(names)) != len(text):
            raise LpclipError(
                f"class_names takes one name, each another, for each of the {len(text)} rows of "
                f"text_features, not {len(names)} with {len(set(names))} different ones."
            )
        if not self.scale > 0:
            raise LpclipError(f"scale takes a positive number, not {self.scale}.")
        weight = np.ascontiguousarray(text, dtype=np.float32)
        return ZeroShotHead(weight, float(self.bias), float(self.scale), tuple(names), {})

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False  # no label is read
        return tags


def _seeds(given: Any) -> list[int]:
    several = isinstance(given, Sequence | np.ndarray) and not isinstance(given, str)
    seeds = list(given) if several else [given]
    right = seeds and all(isinstance(seed, int | np.integer) and seed >= 0 for seed in seeds)
    if not right or len(set(seeds)) < len(seeds):
        raise LpclipError(
            "random_state takes a whole number from 0 on, or several different ones, not "
            f"{given!r}."
        )
    return [int(seed) for seed in seeds]


def _versions(values: npt.ArrayLike, shape: tuple[int, ...], name: str) -> FloatArray:
    """Return versions of a view, ``[V, N, D]`` float32, unit length."""
    views: FloatArray = check_array(values, dtype=np.float32, allow_nd=True, input_name=name)
    if views.ndim != 3 or views.shape[1:] != shape:
        raise ValueError(f"{name} has shape {views.shape}; X of shape {shape} needs (V, {shape}).")
    return _unit(views)


def _unit(features: FloatArray) -> FloatArray:
    """Divide rows by their length, in single precision as readers of caches do."""
    if features.size and np.abs(features).max() > _LARGEST:
        raise ValueError(f"features have values above {_LARGEST:g}; give their rows unit length.")
    return normalise(features)
