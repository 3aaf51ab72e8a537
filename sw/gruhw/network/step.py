"""Building the graph of a time step, operator by operator."""

from gruhw.network.graph import (
    INPUT,
    TABULATED,
    Add,
    Complement,
    Function,
    Graph,
    Input,
    Linear,
    Multiply,
    Node,
    Rule,
    State,
    Table,
)


class Step:
    """Builds the graph of a time step, operator by operator; each method returns the name.

    Parameters
    ----------
    inputs, units
        Elements of the input vector and of every result.
    """

    def __init__(self, inputs: int, units: int) -> None:
        self._units = units
        self._nodes: list[Node] = [Input(name=INPUT, size=inputs)]

    def state(self, name: str, source: str) -> str:
        """What the operator ``source`` gave in the step before."""
        return self._add(State(name=name, size=self._units, source=source))

    def linear(self, name: str, operand: str = INPUT, rule: Rule = "calibrated") -> str:
        """``weight @ operand + bias``."""
        inputs = next((node.size for node in self._nodes if node.name == operand), 0)
        return self._add(
            Linear(name=name, size=self._units, rule=rule, operand=operand, inputs=inputs)
        )

    def add(self, name: str, left: str, right: str, rule: Rule = "calibrated") -> str:
        """``left + right``."""
        return self._add(Add(name=name, size=self._units, rule=rule, left=left, right=right))

    def multiply(self, name: str, left: str, right: str, rule: Rule = "calibrated") -> str:
        """``left * right``; hardware is smaller where ``left`` is unsigned, as gates are."""
        return self._add(Multiply(name=name, size=self._units, rule=rule, left=left, right=right))

    def complement(self, name: str, operand: str) -> str:
        """``1 - operand``."""
        return self._add(Complement(name=name, size=self._units, rule="unit", operand=operand))

    def sigmoid(self, name: str, operand: str) -> str:
        """The logistic function, 0 to 1."""
        return self._table(name, operand, "sigmoid")

    def tanh(self, name: str, operand: str) -> str:
        """The hyperbolic tangent, -1 to 1."""
        return self._table(name, operand, "tanh")

    def graph(self, emits: str) -> Graph:
        """The graph, whose stage emits the results of ``emits``; see :class:`Graph` for errors."""
        return Graph(tuple(self._nodes), emits)

    def _table(self, name: str, operand: str, function: Function) -> str:
        rule = TABULATED[function]
        return self._add(
            Table(name=name, size=self._units, rule=rule, operand=operand, function=function)
        )

    def _add(self, node: Node) -> str:
        self._nodes.append(node)
        return node.name
