"""Synthetic pools of features like CLIP's, with traits in several degrees."""

import numpy as np

from lpclip.storage.text import ZeroShotHead

D = 256


def unit(values):
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def head_of(text, scale=100.0):
    names = tuple(f"class {c}" for c in range(len(text)))
    return ZeroShotHead(text.astype(np.float32), 0.0, scale, names, {"model": "m", "weights": "w"})


class Gaussians:
    """Classes as Gaussians in a narrow cone; texts near to the class means, across a gap.

    Zero-shot is right for about 90 % of the images. OOD images are of another kind of image.
    """

    def __init__(self, n_classes=20, seed=0):
        self.generator = np.random.default_rng(seed)
        self.means = unit(self._normal(n_classes))
        gap, image = np.eye(D)[:2]
        noise = self._normal(n_classes)
        self.text = unit(0.8 * gap + 0.2 * image + 0.6 * unit(0.55 * self.means + 0.84 * noise))
        self.head = head_of(self.text)
        self.image = image
        shift = self._normal(1)[0]
        basis = np.linalg.qr(self.text.T)[0]
        self.shift = unit(shift - basis @ (basis.T @ shift))

    def _normal(self, n):
        return self.generator.standard_normal((n, D)) / np.sqrt(D)

    def images(self, labels):
        return self._around(0.7 * self.image, self.means[labels])

    def others(self, n):
        kinds = unit(self._normal(10))
        centre = 0.55 * self.image + 0.45 * self.shift
        return self._around(centre, kinds[self.generator.integers(len(kinds), size=n)])

    def _around(self, centre, means):
        return unit(centre + 0.45 * means + 0.55 * self._normal(len(means)))

    def pool(self, counts, n_ood=0):
        """Return views ``[1, N, D]`` and labels, -1 for an OOD image, in random order."""
        labels = np.repeat(np.arange(len(counts)), counts)
        values = np.concatenate([self.images(labels), self.others(n_ood)])
        labels = np.concatenate([labels, np.full(n_ood, -1)])
        order = self.generator.permutation(len(labels))
        return values[order][None].astype(np.float32), labels[order]
