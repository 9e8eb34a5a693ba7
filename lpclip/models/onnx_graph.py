"""Write ONNX graphs node by node."""

from typing import Any

import numpy as np
import numpy.typing as npt

from lpclip.errors import LpclipError

# Versions that runtimes since 2023 read; the newest are refused by many.
OPSET, IR = 18, 8


def require_onnx() -> Any:
    """Import and return the package onnx.

    Raises:
        LpclipError: it is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise LpclipError(
            "Exporting to ONNX needs the package onnx. Install it with: pip install 'lpclip[onnx]'"
        ) from error
    return onnx


class Graph:
    """Nodes and constants; every value has a name, which is what functions take and return."""

    def __init__(self) -> None:
        self._onnx = require_onnx()
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._taken = 0

    def constant(self, value: npt.ArrayLike, dtype: npt.DTypeLike) -> str:
        """Add a constant."""
        name = self._name("constant")
        array = np.asarray(value, dtype=dtype)
        self.constants.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node with one output, under a name of its own where none is given."""
        output = output or self._name(operator)
        self.nodes.append(
            self._onnx.helper.make_node(operator, inputs, [output], name=output, **attributes)
        )
        return output

    def cast(self, value: str, dtype: npt.DTypeLike) -> str:
        """Convert to another type."""
        to = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.add("Cast", value, to=to)

    def choose(
        self, condition: str, then: "Graph", other: "Graph", outputs: tuple[str, str]
    ) -> str:
        """Add the output of one of two graphs, which may use all values of this one."""
        helper = self._onnx.helper
        branches = {}
        for key, graph, name in zip(
            ("then_branch", "else_branch"), (then, other), outputs, strict=True
        ):
            value = helper.make_tensor_value_info(name, self._onnx.TensorProto.FLOAT, None)
            branches[key] = helper.make_graph(graph.nodes, key, [], [value], graph.constants)
        return self.add("If", condition, **branches)

    def branch(self) -> "Graph":
        """Return an empty graph whose names differ from those of this one."""
        graph = Graph()
        self._taken += 1000
        graph._taken = self._taken - 999
        return graph

    def include(self, model: Any, value: str, prefix: str) -> str:
        """Add the nodes of a model of one input and one output; return the output."""
        graph = self._onnx.compose.add_prefix(model, prefix).graph
        self.add("Identity", value, output=graph.input[0].name)
        self.nodes.extend(graph.node)
        self.constants.extend(graph.initializer)
        found: str = graph.output[0].name
        return found

    def _name(self, kind: str) -> str:
        self._taken += 1
        return f"{kind.lower()}_{self._taken}"
