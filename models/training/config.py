# SPDX-License-Identifier: GPL-2.0-or-later
"""What a training run is told: one TOML file, checked before anything starts.

Unknown keys are errors, so that a misspelt option can't be ignored in silence. All of it, defaults included, is
written into the run's folder, where `--resume` reads it again.
"""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from ...filters.cli.errors import CommandError

if sys.version_info >= (3, 11):
    import tomllib
else:  # the same parser, before it came into the standard library
    import tomli as tomllib

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]  # Lightning's names


class Section(BaseModel):
    """A table of the TOML file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NetworkSection(Section):
    """Which network, in which size. `options` go to the architecture.

    `init_from` names a checkpoint to start from (fine-tuning), `backbone_weights` a file of torchvision's weights for
    networks with a backbone.
    """

    name: str = "person_unet"
    options: dict[str, Any] = {}
    width: Count = 256
    height: Count = 144
    init_from: Path | None = None
    backbone_weights: Path | None = None


class FramesSection(Section):
    """Shares of the kinds of frames (the rest are crops of real pictures) and how often each set is drawn.

    The kinds are told in frames.py. `plain` frames, like those that a network is used on, are meant for the last part
    of a training (as Ge et al. 2021, arXiv:2107.08430, leave out their strongest disturbances at the end).
    `bystanders_unmarked` names sets whose masks leave out people in the back: what looks empty there may not be.
    """

    empty: Share = 0.07
    composite: Share = 0.32
    inset: Share = 0.04
    grid: Share = 0.1
    plain: Share = 0.0
    bystanders_unmarked: list[str] = []
    set_weights: dict[str, Weight] = {}

    @model_validator(mode="after")
    def _shares_fit(self) -> FramesSection:
        total = sum(self.kinds().values())
        if total > 1 + 1e-9:
            raise PydanticCustomError("shares", "the shares add up to {total}, more than 1", {"total": round(total, 3)})
        return self

    def kinds(self) -> dict[str, float]:
        """Share by kind, without the crops."""
        return self.model_dump(exclude={"bystanders_unmarked", "set_weights"})


class LossSection(Section):
    """Weights of the losses in losses.py; `auxiliary` is for the outputs behind the first."""

    cross_entropy: Weight = 0.0
    boundary_cross_entropy: Weight = 1.0
    dice: Weight = 0.5
    iou: Weight = 0.0
    absolute: Weight = 1.0
    auxiliary: Weight = 0.3

    @model_validator(mode="after")
    def _one_counts(self) -> LossSection:
        if not any(self.weights().values()):
            raise PydanticCustomError("losses", "at least one loss needs a weight above 0")
        return self

    def weights(self) -> dict[str, float]:
        """Weight by loss name, without the auxiliary one."""
        return self.model_dump(exclude={"auxiliary"})


class DistillSection(Section):
    """Teachers whose soft masks, on the same frames, are mixed into the labels.

    `teachers` are checkpoints (.pt), ONNX files of this project's form, or names in teachers.py, whose files are looked
    for in the folder `models`; their mean counts. `weight` is its share of the target; below .5 the label decides which
    pixels are the person, and the teachers how sure of it one may be. Frames whose label is exact, because they were
    put together, keep it. `mixed` is the share of frames that are two in one: there the teachers alone count.
    """

    teachers: list[str] = []
    models: Path = Path(".")
    weight: Share = 0.4
    mixed: Share = 0.0

    @model_validator(mode="after")
    def _mixed_frames_have_a_target(self) -> DistillSection:
        if self.mixed and not self.teachers:
            raise PydanticCustomError("mixed", "mixed frames have no labels: name at least one of the teachers")
        return self


class TemporalSection(Section):
    """Weight of the difference between the answers to a frame and to the same frame moved by up to `shift_px` pixels.

    The moved frame gets sensor noise of its own, of the standard deviation `noise` (of 1). Twice the work per step.
    """

    weight: Weight = 0.0
    shift_px: Annotated[int, Field(ge=0)] = 8
    noise: Weight = 0.02


class OptimiserSection(Section):
    """AdamW with linear warm-up (share `warmup` of the run) and half a cosine; averaged weights are exported."""

    learning_rate: Positive = 2e-3
    weight_decay: Weight = 0.02
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.02
    average_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    clip_gradient: Positive = 5.0


class RunSection(Section):
    """Length (`steps` or `minutes`, one of them), batch over all devices, machine and seed.

    `clock` says what minutes are: those that pass (`wall`), or those that the training process had on processors, all
    its threads together, whatever else the machine does (`processor`; no graphics card and no `workers` count there).

    `precision` `auto` is bfloat16 where the hardware computes with it.

    Every `check_every` steps the averaged weights are measured on at most `held_out` frames, of which `pictures` go to
    TensorBoard. `workers` processes per device make frames; 0 means that the training process makes them itself (what
    happens on a CPU unless told otherwise). `threads` is for the network on a CPU; by default PyTorch chooses.
    """

    steps: Count | None = None
    minutes: Positive | None = None
    clock: Literal["wall", "processor"] = "wall"
    batch: Count = 32
    devices: Count = 1
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    precision: Precision | Literal["auto"] = "auto"
    workers: Annotated[int, Field(ge=0)] | None = None
    threads: Count | None = None
    check_every: Count = 500
    held_out: Count = 400
    pictures: Annotated[int, Field(ge=0)] = 6
    save_minutes: Positive = 5.0
    seed: Annotated[int, Field(ge=0)] = 1

    @model_validator(mode="after")
    def _one_length(self) -> RunSection:
        if (self.steps is None) == (self.minutes is None):
            raise PydanticCustomError("length", "give either steps or minutes, exactly one of them")
        if self.batch % self.devices:
            raise PydanticCustomError("batch", "batch must be a multiple of devices")
        return self


class TrainingConfig(Section):
    """All of it. `pack` is the folder written by the `pack` step, `out` the run's folder."""

    pack: Path
    out: Path
    network: NetworkSection = NetworkSection()
    frames: FramesSection = FramesSection()
    loss: LossSection = LossSection()
    distill: DistillSection = DistillSection()
    temporal: TemporalSection = TemporalSection()
    optimiser: OptimiserSection = OptimiserSection()
    run: RunSection


def read_config(path: Path, changes: Sequence[str] = ()) -> TrainingConfig:
    """Read and check a TOML file; relative folders are relative to the working folder.

    `changes` are `key=value` or `section.key=value` and go before the file. CommandError says what is wrong where.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"The configuration {path} can't be read: {error}", 2) from error
    except tomllib.TOMLDecodeError as error:
        raise CommandError(f"{path} is no valid TOML: {error}", 2) from error
    for change in changes:
        apply_change(values, change)
    try:
        return TrainingConfig.model_validate(values)
    except ValidationError as error:
        raise CommandError("\n".join(f"{path}: {in_words(each)}" for each in error.errors()), 2) from error


def apply_change(values: dict[str, Any], change: str) -> None:
    """Put `section.key=value` into the parsed TOML; one length of the run replaces the other."""
    name, equals, text = change.partition("=")
    *sections, key = name.strip().split(".")
    if not equals or not key:
        raise CommandError(f"--set {change}: expected key=value or section.key=value", 2)
    table = values
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise CommandError(f"--set {change}: “{section}” is no section", 2)
    try:
        table[key] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        table[key] = text  # a word or a path needs no quotes on the command line
    if name.strip() in ("run.steps", "run.minutes"):
        table.pop({"steps": "minutes", "minutes": "steps"}[key], None)


def in_words(error: ErrorDetails) -> str:
    """One of pydantic's errors, as a person would say it."""
    where = [str(part) for part in error["loc"]]
    if error["type"] == "extra_forbidden":
        return _unknown_key(where)
    if error["type"] == "missing":
        return f"“{where[-1]}” is missing{_in_section(where[:-1])}."
    name = f"[{'.'.join(where[:-1])}] {where[-1]}" if len(where) > 1 else f"[{''.join(where)}]"
    message = error["msg"][:1].lower() + error["msg"][1:]
    return (
        f"{name}: {message}, found {error['input']!r}."
        if not isinstance(error["input"], dict | Section)
        else (f"{name}: {message}.")
    )


def _unknown_key(where: Sequence[str]) -> str:
    *sections, key = where
    known = known_keys(sections)
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    elsewhere = [path for path in _all_keys() if path[-1] == key]
    if near:
        advice = f"did you mean {near[0]}?"
    elif elsewhere:
        advice = f"it belongs into [{'.'.join(elsewhere[0][:-1])}]."
    else:
        advice = f"known are {', '.join(known)}."
    return f"Unknown key '{key}'{_in_section(sections)}: {advice}"


def _in_section(sections: Sequence[str]) -> str:
    return f" in [{'.'.join(sections)}]" if sections else ""


def known_keys(sections: Sequence[str]) -> list[str]:
    """The names that a section knows; of the whole file without one."""
    model: type[BaseModel] = TrainingConfig
    for section in sections:
        model = _section_type(model, section)
    return list(model.model_fields)


def _section_type(model: type[BaseModel], name: str) -> type[BaseModel]:
    kind = model.model_fields[name].annotation
    assert isinstance(kind, type)
    assert issubclass(kind, BaseModel)
    return kind


def _all_keys() -> Iterator[tuple[str, str]]:
    for section, field in TrainingConfig.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from ((section, key) for key in field.annotation.model_fields)


def to_toml(config: TrainingConfig) -> str:
    """The whole configuration, defaults included, as TOML; numbers, words and lists look there as in JSON."""
    values = config.model_dump(mode="json", exclude_none=True)
    return "\n".join(_lines(values, ())) + "\n"


def _lines(values: Mapping[str, Any], section: tuple[str, ...]) -> Iterator[str]:
    if section:
        yield f"\n[{'.'.join(section)}]"
    tables = {key: value for key, value in values.items() if isinstance(value, dict)}
    for key, value in values.items():
        if key not in tables:
            yield f"{_key(key)} = {json.dumps(value, ensure_ascii=False)}"
    for key, table in tables.items():
        yield from _lines(table, (*section, _key(key)))


def _key(name: str) -> str:
    plain = name.replace("_", "").replace("-", "")
    return name if plain.isascii() and plain.isalnum() else json.dumps(name, ensure_ascii=False)
