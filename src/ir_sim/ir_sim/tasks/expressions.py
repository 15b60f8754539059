# SPDX-License-Identifier: Apache-2.0
"""Arithmetic expressions of task files, over arrays: parsed and checked, never given to the interpreter."""

from __future__ import annotations

import ast
import difflib
import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Values = Mapping[str, Any]
_Run = Callable[[Values], Any]

MAX_LENGTH = 2000  #: characters of an expression
_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: np.divide,
    ast.Pow: np.power,
    ast.Mod: np.mod,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: np.logical_not,
    ast.And: np.logical_and,
    ast.Or: np.logical_or,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}
_OF_ONE: dict[str, Callable[..., Any]] = {
    "abs": np.abs, "sqrt": np.sqrt, "exp": np.exp, "log": np.log, "sign": np.sign, "tanh": np.tanh,
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan,
    "floor": np.floor, "ceil": np.ceil,
    "wrap": lambda angle: (np.asarray(angle) + np.pi) % (2 * np.pi) - np.pi,
}  # fmt: skip
#: Functions of numbers, by name: how many arguments (None: two or more), and what they do, angles in rad.
_FUNCTIONS: dict[str, tuple[int | None, Callable[..., Any]]] = {
    **{name: (1, function) for name, function in _OF_ONE.items()},
    "atan2": (2, np.arctan2),
    "hypot": (2, np.hypot),
    "clip": (3, np.clip),
    "where": (3, np.where),
    "min": (None, lambda *values: _fold(np.minimum, values)),
    "max": (None, lambda *values: _fold(np.maximum, values)),
}


def _fold(function: Callable[[Any, Any], Any], values: tuple[Any, ...]) -> Any:
    result = values[0]
    for value in values[1:]:
        result = function(result, value)
    return result


class ExpressionError(ValueError):
    """An expression says something that is not allowed; says what, and at which column."""


@dataclass(frozen=True)
class Expression:
    """A checked expression; call it with the values of its names.

    Attributes:
        text: as it was written.
        names: names in it; a dotted or indexed one such as `a.b['c']` is `a.b.c`.
    """

    text: str
    names: frozenset[str]
    run: _Run

    def __call__(self, values: Values) -> Any:
        """Its value, an array of the shape of the values, or a number; 0 / 0 and the like are not a number."""
        with np.errstate(all="ignore"):
            return self.run(values)


def parse_expression(
    text: str, known: Collection[str] | Callable[[str], bool], functions: Mapping[str, Callable[..., Any]] | None = None
) -> Expression:
    """Checks an expression: numbers, names, `+ - * / ** %`, comparisons, and, or, not, `a if c else b`, functions.

    Args:
        text: expression.
        known: names that it may hold, or whether it may hold one.
        functions: further functions; they get the values and their arguments, which must be plain numbers.

    Raises:
        ExpressionError: anything else.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"has more than {MAX_LENGTH} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval")
        parser = _Parser(known, functions or {})
        run = parser.node(tree.body)
    except SyntaxError as error:
        raise ExpressionError(f"is no expression, at column {error.offset}: {error.msg}") from None
    except (RecursionError, MemoryError, ValueError) as error:
        raise error if isinstance(error, ExpressionError) else ExpressionError("is nested too deeply") from None
    return Expression(text, frozenset(parser.names), run)


class _Parser:
    """Turns a syntax tree into nested functions of the values."""

    def __init__(
        self, known: Collection[str] | Callable[[str], bool], functions: Mapping[str, Callable[..., Any]]
    ) -> None:
        self.known, self.functions = known, functions
        self.names: set[str] = set()

    def node(self, node: ast.expr) -> _Run:
        if isinstance(node, ast.Constant):
            return self._constant(node)
        if isinstance(node, ast.Name | ast.Attribute | ast.Subscript):
            return self._name(node)
        if isinstance(node, ast.BinOp):
            return self._apply(node, node.op, node.left, node.right)
        if isinstance(node, ast.UnaryOp):
            return self._apply(node, node.op, node.operand)
        if isinstance(node, ast.BoolOp):
            return self._chain(node, node.op, node.values)
        if isinstance(node, ast.Compare):
            ends = [node.left, *node.comparators]
            pairs = zip(node.ops, ends, ends[1:], strict=False)
            return self._all([self._apply(node, op, left, right) for op, left, right in pairs])
        if isinstance(node, ast.IfExp):
            test, then, other = (self.node(part) for part in (node.test, node.body, node.orelse))
            return lambda values: np.where(test(values), then(values), other(values))
        if isinstance(node, ast.Call):
            return self._call(node)
        raise self.error(node, f"{type(node).__name__.lower()} is not allowed")

    @staticmethod
    def error(node: ast.expr, what: str) -> ExpressionError:
        return ExpressionError(f"column {node.col_offset + 1}: {what}")

    def _constant(self, node: ast.Constant) -> _Run:
        if not isinstance(node.value, bool | int | float) or abs(node.value) > 1e300:
            raise self.error(node, f"only numbers are allowed, got {node.value!r:.40}")
        value = np.float64(node.value) if not isinstance(node.value, bool) else np.bool_(node.value)
        return lambda values: value

    def _apply(self, node: ast.expr, op: ast.AST, *parts: ast.expr) -> _Run:
        function = _OPERATORS.get(type(op))
        if function is None:
            raise self.error(node, f"the operator {type(op).__name__} is not allowed")
        if len(parts) == 1:
            only = self.node(parts[0])
            return lambda values: function(only(values))
        left, right = (self.node(part) for part in parts)
        return lambda values: function(left(values), right(values))

    def _chain(self, node: ast.expr, op: ast.AST, parts: list[ast.expr]) -> _Run:
        function, runs = _OPERATORS[type(op)], [self.node(part) for part in parts]
        return lambda values: _fold(function, tuple(run(values) for run in runs))

    @staticmethod
    def _all(runs: list[_Run]) -> _Run:
        return runs[0] if len(runs) == 1 else lambda values: _fold(np.logical_and, tuple(run(values) for run in runs))

    def _name(self, node: ast.expr) -> _Run:
        name = self._dotted(node)
        allowed = self.known(name) if callable(self.known) else name in self.known
        if not allowed:
            near = [] if callable(self.known) else difflib.get_close_matches(name, list(self.known), n=1)
            listed = "" if callable(self.known) else f"; known: {', '.join(sorted(self.known))}"
            raise self.error(node, f"unknown name {name!r}" + (f"; did you mean {near[0]!r}?" if near else listed))
        self.names.add(name)
        return lambda values: values[name]

    def _dotted(self, node: ast.expr) -> str:
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, ast.Attribute):
            return f"{self._dotted(node.value)}.{node.attr}"
        key = node.slice.value if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) else None
        if isinstance(node, ast.Subscript) and isinstance(key, str):
            return f"{self._dotted(node.value)}.{key}"
        raise self.error(node, "only names such as a, a.b and a['b'] are allowed here")

    def _call(self, node: ast.Call) -> _Run:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            raise self.error(node, "functions take plain arguments only")
        if name in self.functions:
            special, numbers = self.functions[name], [float(self.node(a)({})) for a in node.args if self._plain(a)]
            self.names.add(f"{name}()")
            return lambda values: special(values, *numbers)
        if name not in _FUNCTIONS:
            known = ", ".join(sorted({*_FUNCTIONS, *self.functions}))
            raise self.error(node, f"unknown function {ast.unparse(node.func)[:40]!r}; known: {known}")
        count, function = _FUNCTIONS[name]
        if (count is None and len(node.args) < 2) or (count is not None and len(node.args) != count):
            raise self.error(node, f"{name} takes {count or 'two or more'} arguments, got {len(node.args)}")
        runs = [self.node(argument) for argument in node.args]
        return lambda values: function(*(run(values) for run in runs))

    def _plain(self, node: ast.expr) -> bool:
        """Whether an argument is a number, as those of special functions must be."""
        inner = node.operand if isinstance(node, ast.UnaryOp) else node
        if not isinstance(inner, ast.Constant):
            raise self.error(node, "must be a number")
        return True
