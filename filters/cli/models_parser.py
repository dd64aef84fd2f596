# SPDX-License-Identifier: GPL-2.0-or-later
"""The words of ``models``: its commands and their options; what they do is imported when one is asked for."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from . import preview
from .steps import Step, run_here, run_in_workshop

# Those that work on model files themselves; each parses its own arguments.
TOOLS = {
    "convert": Step("tools.convert", "make an ONNX file of a network in another format, or TFLite of it"),
    "simplify": Step("tools.simplify", "take out of an ONNX file what computes nothing"),
    "quantize": Step("tools.quantize", "make a smaller or faster copy in 8 or 16 bits, if the quality allows it"),
    "tensorrt": Step("tools.tensorrt", "build an NVIDIA card's engine of a model ahead of time"),
    "benchmark": Step("tools.benchmark", "measure models on this machine: frames per second, size, quality"),
    "evaluate": Step("tools.evaluate", "measure models on pictures with masks: table, plot, contact sheet"),
}

_MODEL = "an id of the catalogue, the name of a file in your folder of models, or a path"
_TRUST = (
    "Remembers the file's SHA-256 digest in your configuration folder, so that the engine may run it. A model can make "
    "the engine compute anything: do this only if you know where the file comes from."
)
_FETCH = (
    "Fetches a model from its publisher into your folder of models. Where the publisher gives no digest that we know, "
    "the file runs only after you have said that you trust it."
)
_IMPORT = "Copies an ONNX file into your folder of models, after a look through it and your word that you trust it."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The commands below ``models``; without one it lists."""
    commands = parser.add_subparsers(dest="action", metavar="action")
    add = commands.add_parser
    add("list", help="every model, and whether it may run")

    info = add("info", help="everything about a model")
    info.add_argument("model", metavar="MODEL", help=_MODEL)

    fetch = add("fetch", help="fetch a model from its publisher", description=_FETCH)
    fetch.add_argument("model", metavar="ID", help="an id of the catalogue")
    fetch.add_argument("--trust", action="store_true", help="trust the file without being asked")

    take = add("import", help="copy an ONNX file into your folder of models", description=_IMPORT)
    take.add_argument("file", type=Path, metavar="FILE")
    take.add_argument("--as", dest="model", metavar="ID", help="it is this model of the catalogue")
    take.add_argument("--trust", action="store_true", help="trust the file without being asked")

    verify = add("verify", help="read models and check their digests: all, or those named")
    verify.add_argument("models", nargs="*", metavar="MODEL", help=_MODEL)

    trust = add("trust", help="trust an ONNX file as it is now", description=_TRUST)
    trust.add_argument("model", metavar="MODEL", help=_MODEL)

    remove = add("remove", help="delete a model from your folder, and take the trust in it back")
    remove.add_argument("model", metavar="MODEL", help="an id of the catalogue, or the name of a file in your folder")

    look = add("preview", help="show how a model does on a picture, what was guessed about it, and correct that")
    preview.add_arguments(look)

    add("where", help="the folders in which models are looked for")

    # The second half, in the environment that the first half made.
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    for name, step in TOOLS.items():
        tool = add(name, help=step.help, add_help=False)
        tool.add_argument("words", nargs=argparse.REMAINDER)
        tool.set_defaults(passes_on=True)


def run(options: argparse.Namespace) -> int:
    """Do what was asked for."""
    if options.action in TOOLS:
        return run_tool(options.action, [*options.others, *options.words], options.here)
    from . import models

    match options.action:
        case "info":
            return models.show(options.model)
        case "fetch":
            return models.fetch(options.model, options.trust)
        case "import":
            return models.take(options.file, options.model, options.trust)
        case "verify":
            return models.verify(options.models)
        case "trust":
            return models.trust_model(options.model)
        case "remove":
            return models.remove(options.model)
        case "preview":
            return preview.run(options)
        case "where":
            return models.where()
    return models.list_models()


def run_tool(name: str, arguments: Sequence[str], here: bool) -> int:
    """Run one of the ``TOOLS``, in the environment for training unless told to do so here.

    ``tensorrt`` needs none: it goes on in the engine's environment, where a card's libraries are.
    """
    if here or name == "tensorrt":
        return run_here("models", name, TOOLS[name], arguments)
    return run_in_workshop("models", [name, *arguments])
