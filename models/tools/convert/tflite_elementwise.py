# SPDX-License-Identifier: GPL-2.0-or-later
"""TFLite operators that compute number by number, in ONNX: in whichever order of sides their inputs are there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ....filters.cli.errors import CommandError
from .tflite_file import Operator, names_of
from .tflite_graph import FIRST, Graph


def unsupported(graph: Graph, operator: Operator, what: str) -> CommandError:
    """An error that names the operator and what about it has no ONNX."""
    return CommandError(f"{graph.file} can't be converted: operator {operator.name}: {what}.")


def activate(graph: Graph, operator: Operator, name: str) -> str:
    """Put an operator's fused activation behind it."""
    number = getattr(operator.options, "fusedActivationFunction", 0)
    kind = names_of("ActivationFunctionType")[number]
    if kind == "NONE":
        return name
    if kind not in ACTIVATIONS:
        raise unsupported(graph, operator, f"the activation {kind} is not known here")
    return ACTIVATIONS[kind](graph, name)


def clip(low: float, high: float) -> Callable[[Graph, str], str]:
    """A function that keeps values between two numbers."""

    def emit(graph: Graph, name: str) -> str:
        bounds = [graph.initializer(np.array(bound, np.float32)) for bound in (low, high)]
        return graph.node("Clip", [name, *bounds])

    return emit


def plain(onnx_operator: str, **attributes: Any) -> Callable[[Graph, str], str]:
    """A function of one tensor that ONNX has too."""
    return lambda graph, name: graph.node(onnx_operator, [name], **attributes)


def square(graph: Graph, name: str) -> str:
    """x * x"""
    return graph.node("Mul", [name, name])


def reciprocal_root(graph: Graph, name: str) -> str:
    """1 / sqrt(x)"""
    return graph.node("Reciprocal", [graph.node("Sqrt", [name])])


ACTIVATIONS: dict[str, Callable[[Graph, str], str]] = {
    "RELU": plain("Relu"),
    "RELU6": clip(0.0, 6.0),
    "RELU_N1_TO_1": clip(-1.0, 1.0),
    "TANH": plain("Tanh"),
}
OF_ONE: dict[str, Callable[[Graph, str], str]] = {
    **ACTIVATIONS,
    "RELU_0_TO_1": clip(0.0, 1.0),
    "LOGISTIC": plain("Sigmoid"),
    "HARD_SWISH": plain("HardSwish"),
    "ELU": plain("Elu"),
    "EXP": plain("Exp"),
    "LOG": plain("Log"),
    "SQRT": plain("Sqrt"),
    "RSQRT": reciprocal_root,
    "SQUARE": square,
    "ABS": plain("Abs"),
    "NEG": plain("Neg"),
    "SIN": plain("Sin"),
    "COS": plain("Cos"),
    "FLOOR": plain("Floor"),
    "CEIL": plain("Ceil"),
    "ROUND": plain("Round"),
}
OF_TWO = {"ADD": "Add", "SUB": "Sub", "MUL": "Mul", "DIV": "Div", "MAXIMUM": "Max", "MINIMUM": "Min", "POW": "Pow"}


def of_one(graph: Graph, operator: Operator) -> None:
    """Number by number, of one tensor."""
    order = graph.order(operator.inputs[:1])
    graph.put(operator.outputs[0], OF_ONE[operator.name](graph, graph.get(operator.inputs[0], order)), order)


def of_two(graph: Graph, operator: Operator) -> None:
    """Number by number, of two tensors; sides of 1 are repeated."""
    order = graph.order(operator.inputs)
    name = graph.node(OF_TWO[operator.name], [graph.get(index, order) for index in operator.inputs])
    graph.put(operator.outputs[0], activate(graph, operator, name), order)


def squared_difference(graph: Graph, operator: Operator) -> None:
    """(a - b) ** 2"""
    order = graph.order(operator.inputs)
    difference = graph.node("Sub", [graph.get(index, order) for index in operator.inputs])
    graph.put(operator.outputs[0], square(graph, difference), order)


def leaky_relu(graph: Graph, operator: Operator) -> None:
    """x, or alpha * x below zero."""
    order = graph.order(operator.inputs)
    name = graph.node("LeakyRelu", [graph.get(operator.inputs[0], order)], alpha=float(operator.options.alpha))
    graph.put(operator.outputs[0], name, order)


def prelu(graph: Graph, operator: Operator) -> None:
    """x, or a learnt slope * x below zero."""
    order = graph.order(operator.inputs)
    graph.put(operator.outputs[0], graph.node("PRelu", [graph.get(index, order) for index in operator.inputs]), order)


def gelu(graph: Graph, operator: Operator) -> None:
    """x * normal distribution of x, exact or by its tanh approximation."""
    order = graph.order(operator.inputs)
    x = graph.get(operator.inputs[0], order)

    def number(value: float) -> str:
        return graph.initializer(np.array(value, np.float32))

    if operator.options.approximate:
        cube = graph.node("Mul", [square(graph, x), x])
        inner = graph.node("Add", [x, graph.node("Mul", [cube, number(0.044715)])])
        bend = graph.node("Tanh", [graph.node("Mul", [inner, number(float(np.sqrt(2 / np.pi)))])])
    else:
        bend = graph.node("Erf", [graph.node("Mul", [x, number(float(np.sqrt(0.5)))])])
    half = graph.node("Mul", [x, number(0.5)])
    name = graph.node("Mul", [half, graph.node("Add", [bend, number(1.0)])])
    graph.put(operator.outputs[0], name, order)


def softmax(graph: Graph, operator: Operator) -> None:
    """Over the channels; ``beta`` multiplies before."""
    order = graph.order(operator.inputs)
    name = graph.get(operator.inputs[0], order)
    beta = float(getattr(operator.options, "beta", 1.0))
    if beta != 1.0:
        name = graph.node("Mul", [name, graph.initializer(np.array(beta, np.float32))])
    kind = "LogSoftmax" if operator.name == "LOG_SOFTMAX" else "Softmax"
    graph.put(operator.outputs[0], graph.node(kind, [name], axis=1 if order == FIRST else -1), order)
