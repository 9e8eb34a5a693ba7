"""Data inside an HTML file: numbers as base64, everything else as JSON that ends no script."""

import base64
import json
from typing import Any

import numpy as np
import numpy.typing as npt

_TYPES = {
    "i2": "Int16Array",
    "i4": "Int32Array",
    "u2": "Uint16Array",
    "f4": "Float32Array",
}


def numbers(values: npt.NDArray[Any]) -> dict[str, str]:
    """Return an array as the name of its type in JavaScript and its bytes, little-endian.

    >>> numbers(np.array([1, 2], dtype=np.int16))
    {'type': 'Int16Array', 'data': 'AQACAA=='}
    """
    kind = _TYPES[f"{values.dtype.kind}{values.dtype.itemsize}"]
    ordered = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    return {"type": kind, "data": base64.b64encode(ordered.tobytes()).decode()}


def classes(values: npt.NDArray[Any], n_classes: int) -> dict[str, str]:
    """Return numbers of classes, -1 for none."""
    return numbers(values.astype(np.int16 if n_classes < 2**15 else np.int32))


def shares(values: npt.NDArray[Any]) -> dict[str, str]:
    """Return fractions in steps of 1/65535; nan, for none, is 0."""
    return numbers(np.rint(np.nan_to_num(values) * 65535).astype(np.uint16))


def script_json(value: Any) -> str:
    """Return JSON for a script element: nothing in it ends the element or starts a comment.

    >>> "<" in script_json("</script>")
    False
    """
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
