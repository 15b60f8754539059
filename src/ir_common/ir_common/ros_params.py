# SPDX-License-Identifier: Apache-2.0
"""Node parameters declared from a configuration model: one place for names, defaults, ranges and descriptions."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from typing import Any, Generic

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from ir_common.config import ConfigError, ConfigT, validate

_SCALARS = {bool: Parameter.Type.BOOL, int: Parameter.Type.INTEGER, float: Parameter.Type.DOUBLE}
_ARRAYS = {
    bool: Parameter.Type.BOOL_ARRAY,
    int: Parameter.Type.INTEGER_ARRAY,
    float: Parameter.Type.DOUBLE_ARRAY,
    str: Parameter.Type.STRING_ARRAY,
}
_HUGE = 1e300
_HUGE_INTEGER = 2**62


class NodeParameters(Generic[ConfigT]):
    """The parameters of a node as one valid configuration.

    Attributes:
        config: the configuration in force; replaced as a whole when a live field is changed.
    """

    def __init__(self, node: Node, model: type[ConfigT], on_change: Callable[[ConfigT], None] | None) -> None:
        self._model, self._on_change = model, on_change
        self._source = f"parameters of {node.get_fully_qualified_name()}"
        values: dict[str, Any] = {}
        for name, field in model.model_fields.items():
            value = _declare(node, name, field)
            if value is not None:
                values[name] = value
        self.config: ConfigT = validate(model, values, self._source)
        node.add_on_set_parameters_callback(self._check)
        node.add_post_set_parameters_callback(self._apply)

    def _check(self, parameters: list[Parameter]) -> SetParametersResult:
        for parameter in parameters:
            field = self._model.model_fields.get(parameter.name)
            extra = field.json_schema_extra if field else None
            if field and not (isinstance(extra, dict) and extra.get("live")):
                return SetParametersResult(
                    successful=False, reason=f"{parameter.name} is fixed at the start; start the node anew to change it"
                )
        try:
            self._changed(parameters)
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _apply(self, parameters: list[Parameter]) -> None:
        config = self._changed(parameters)
        if config != self.config:
            self.config = config
            if self._on_change:
                self._on_change(config)

    def _changed(self, parameters: list[Parameter]) -> ConfigT:
        values = {p.name: _plain(p.value) for p in parameters if p.name in self._model.model_fields}
        return validate(self._model, self.config.model_dump() | values, self._source)


def declare(
    node: Node, model: type[ConfigT], on_change: Callable[[ConfigT], None] | None = None
) -> NodeParameters[ConfigT]:
    """Declares every field of ``model`` as a parameter of ``node`` and reads the values.

    Fields made with `ir_common.config.live` may be changed while the node runs: the new whole is validated, then
    applied and handed to ``on_change``; a change that does not validate, or of any other field, is refused with the
    reason.

    Raises:
        ConfigError: a value is missing, of the wrong type or out of range.
    """
    return NodeParameters(node, model, on_change)


def _declare(node: Node, name: str, field: FieldInfo) -> Any:
    kind, is_array = _kind(field)
    descriptor = ParameterDescriptor(description=field.description or "")
    low, high = _bounds(field)
    if not is_array and kind in (int, float) and (low is not None or high is not None):
        if kind is float:
            descriptor.floating_point_range = [
                FloatingPointRange(
                    from_value=float(-_HUGE if low is None else low), to_value=float(_HUGE if high is None else high)
                )
            ]
        else:
            descriptor.integer_range = [
                IntegerRange(
                    from_value=int(-_HUGE_INTEGER if low is None else low),
                    to_value=int(_HUGE_INTEGER if high is None else high),
                    step=1,
                )
            ]
    if typing.get_origin(field.annotation) is typing.Literal:
        descriptor.additional_constraints = "one of: " + ", ".join(map(str, typing.get_args(field.annotation)))
    descriptor.dynamic_typing = True  # a whole number is a fine value for a float; the model says what it takes
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    if isinstance(default, BaseModel):
        raise TypeError(f"{name}: a nested configuration cannot be a parameter")
    if is_array:
        default = None if default is None else list(default)
    elif default is not None and kind is str:
        default = str(default)
    type_ = _ARRAYS.get(kind, Parameter.Type.STRING_ARRAY) if is_array else _SCALARS.get(kind, Parameter.Type.STRING)
    value = Parameter(name, type_, default) if default is not None else None
    try:
        declared = node.declare_parameter(name, value.value if value else None, descriptor)
    except Exception as error:  # rclpy has a class of its own for each mistake; all are the user's here
        raise ConfigError(f"parameters of {node.get_fully_qualified_name()}: {name}: {error}") from None
    return _plain(declared.value)


def _kind(field: FieldInfo) -> tuple[type, bool]:
    """(element type, is an array) of a field; everything that is not a number or a truth value is text."""
    annotation: Any = field.annotation
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        annotation = next(a for a in typing.get_args(annotation) if a is not type(None))
    if typing.get_origin(annotation) in (list, tuple):
        element = typing.get_args(annotation)[0]
        return (element if element in _ARRAYS else str), True
    return (annotation if annotation in _SCALARS else str), False


def _bounds(field: FieldInfo) -> tuple[Any, Any]:
    low = high = None
    for constraint in field.metadata:
        low = getattr(constraint, "ge", getattr(constraint, "gt", low))
        high = getattr(constraint, "le", getattr(constraint, "lt", high))
    return low, high


def _plain(value: Any) -> Any:
    """Parameter arrays arrive as array.array or tuples; a model wants lists."""
    return value if value is None or isinstance(value, str | bool | int | float) else list(value)
