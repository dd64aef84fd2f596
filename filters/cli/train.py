# SPDX-License-Identifier: GPL-2.0-or-later
"""``train``: every step from pictures to a network of one's own, in an environment that the first use makes."""

from collections.abc import Sequence

from .errors import CommandError
from .steps import HERE, Step, run_here, run_in_workshop

STEPS = {
    "manifest": Step("training.manifest", "list a folder's pictures with masks, split, licence and source; join lists"),
    "import aisegment": Step("training.import_aisegment", "the same for the folders of the AISegment data set"),
    "import supervisely": Step("training.import_supervisely", "the same for a project of Supervisely annotations"),
    "import collection": Step("training.import_collection", "the same for a folder of sets: masked, people and rooms"),
    "resize": Step("training.resize", "make smaller copies of pictures and masks"),
    "label": Step("training.label", "let teachers make the masks that are missing, and drop what they disagree on"),
    "pack": Step("training.pack", "put labelled pictures into one file that training reads fast"),
    "frames": Step("training.sheet", "show what frames are made of a pack"),
    "run": Step("training.loop", "train a network, or go on with a run"),
    "mix": Step("training.mix", "mix the weights of a fine-tuned network with those it began with"),
    "export": Step("training.export", "make an ONNX file (or TFLite) of a run, in 8 bits if the quality allows it"),
    "evaluate": Step("training.evaluate", "measure networks on pictures with masks: table, plot, contact sheet"),
    "architectures": Step("training.architectures", "train several networks for the same time, and compare them"),
    "attribution": Step("training.attribution", "list authors, licences and sources of the pictures"),
    "recipe": Step("training.recipe", "all of it, from a collection to the measured ONNX file"),
}
IMPORTS = [name for name in STEPS if name.startswith("import ")]


def train(arguments: Sequence[str]) -> int:
    """Run one step. CommandError when it can't be done; the exit code is the step's."""
    if arguments and arguments[0] == HERE:
        return run_step(*find_step(arguments[1:]))
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview())
        return 0 if arguments else 2
    find_step(arguments)
    return run_in_workshop("train", arguments)


def overview() -> str:
    """The steps in the order of their use."""
    width = max(map(len, STEPS))
    lines = (f"    {name:{width}}  {step.help}" for name, step in STEPS.items())
    return "\n".join(
        [
            "usage: obs_background_filter.py train step ...",
            "",
            "Trains a network of your own. The first use installs PyTorch and what else that takes (several GB with an",
            "NVIDIA card's libraries) into .venv-training. docs/training.md leads through it.",
            "",
            *lines,
            "",
            "Each step explains itself: obs_background_filter.py train run --help",
        ]
    )


def find_step(arguments: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The step's name and what follows it; CommandError lists the known ones."""
    for words in (2, 1):
        name = " ".join(arguments[:words])
        if name in STEPS:
            return name, arguments[words:]
    if arguments[0] == "import":
        raise CommandError(f"Say what to import: {', '.join(IMPORTS)}", 2)
    raise CommandError(f"There is no step “{arguments[0]}”. The steps are {', '.join(STEPS)}.", 2)


def run_step(name: str, arguments: Sequence[str]) -> int:
    """Run a step in this interpreter."""
    return run_here("train", name, STEPS[name], arguments)
