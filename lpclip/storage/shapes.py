"""Check that the arrays of one file fit together."""

from collections.abc import Mapping

import h5py

from lpclip.storage.opening import damaged


def check_shapes(
    file: h5py.File, axes: Mapping[str, str], sizes: Mapping[str, int] | None = None
) -> None:
    """Refuse arrays whose sizes differ along axes that must be equal.

    Args:
        file: an open file.
        axes: name of an array -> one letter per axis; equal letters mean equal sizes. Missing
            arrays are ignored.
        sizes: known sizes, by letter.

    Raises:
        LpclipError: another number of axes, sizes that differ, no numbers, or an axis other than N
            of length 0.
    """
    known = dict(sizes or {})
    for name, letters in axes.items():
        if name not in file:
            continue
        data = file[name]
        shape = data.shape if isinstance(data, h5py.Dataset) else None
        if (
            shape is None
            or len(shape) != len(letters)
            or data.dtype.kind not in "fiub"
            or any(known.setdefault(k, n) != n for k, n in zip(letters, shape, strict=True))
            or 0 in (n for k, n in zip(letters, shape, strict=True) if k != "N")
        ):
            expected = ", ".join(f"{letter}={known.get(letter, '?')}" for letter in letters)
            raise damaged(file, f"'{name}' has shape {list(shape or ())}, not [{expected}]")
