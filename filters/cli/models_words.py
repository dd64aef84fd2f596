# SPDX-License-Identifier: GPL-2.0-or-later
"""Models in words, for the command line."""

from ...models.catalog import InputSpec, ModelEntry, OutputSpec
from ...models.store import State
from ...models.trust import Candidate

FORMATS = {
    "onnx": "an ONNX file",
    "tflite": "a TFLite file",
    "pytorch": "a file of PyTorch weights",
    "tensorflow": "a TensorFlow graph",
    "tfjs": "a TensorFlow.js model",
}
KINDS = {
    "logits": "logits of a sigmoid",
    "probability": "probabilities",
    "softmax_logits": "logits of a softmax",
    "classes": "class numbers",
    "saliency": "numbers to be stretched to 0 to 1",
}

Lines = list[tuple[str, str]]


def state_words(state: State, entry: ModelEntry | None) -> str:
    """A model's state in a few words."""
    if state.vouched_by == "project":
        return "verified"
    if state.vouched_by == "user":
        return "trusted by you"
    if state.path is None:
        return "not fetched" if entry is None or entry.download else "to get by hand"
    code = state.refusal.code if state.refusal else ""
    return {"model.untrusted": "not trusted", "model.digest_mismatch": "CHANGED"}.get(code, "REFUSED")


def entry_words(entry: ModelEntry) -> Lines:
    """What the catalogue says of a model."""
    lines = [("id", entry.id), ("name", entry.name), ("made for", entry.use), ("licence", entry.license)]
    lines += [("page", entry.source), ("note", entry.note)]
    lines += [("paper", entry.paper)] if entry.paper else []
    lines += [("formerly", ", ".join(entry.replaces))] if entry.replaces else []
    lines += [("takes", _input_words(entry.input)), ("gives", _output_words(entry.output))]
    lines += [("remembers", f"{each.output} becomes {each.input} of the next frame") for each in entry.recurrence]
    lines += [("also takes", f"{each.input} {list(each.shape)}, always {each.value:g}") for each in entry.constants]
    if entry.download:
        lines += [("fetched from", entry.download.url), ("as", FORMATS[entry.download.format])]
        lines += [("its digest", entry.download.sha256 or "not known to us"), ("", entry.download.digest_note)]
    return lines + _measured_words(entry)


def candidate_words(candidate: Candidate) -> Lines:
    """What a user should see before they trust a file."""
    ports = candidate.ports
    lines = [("SHA-256", candidate.sha256), ("size", f"{len(candidate.data):,} bytes")]
    lines += [("input", str(port)) for port in ports.inputs] or [("input", "none")]
    lines += [("output", str(port)) for port in ports.outputs] or [("output", "none")]
    lines.append(("operator set", f"{ports.opset}" + (f", written by {ports.producer}" if ports.producer else "")))
    return lines


def megabytes(size: int) -> str:
    """A size in MB (10**6 bytes) with one decimal; empty for none."""
    return f"{size / 1e6:.1f}" if size else ""


def _input_words(spec: InputSpec) -> str:
    size = f"{spec.width}x{spec.height} pixels"
    if spec.multiple_of:
        size += f", or any multiples of {spec.multiple_of}" if spec.multiple_of > 1 else ", or any"
    mean, std = (", ".join(f"{number:.4g}" for number in numbers) for numbers in (spec.mean, spec.std))
    name = f"{spec.tensor}: " if spec.tensor else ""
    return f"{name}{size}, {spec.layout}, {spec.channels}; (pixel * {spec.scale:.6g} - [{mean}]) / [{std}]"


def _output_words(spec: OutputSpec) -> str:
    name = f"{spec.tensor}: " if spec.tensor else ""
    who = "the background" if spec.inverted else "the person"
    where = "number" if spec.kind == "classes" else "channel"
    return f"{name}{KINDS[spec.kind]}, {spec.layout}; {where} {spec.channel} is {who}"


def _measured_words(entry: ModelEntry) -> Lines:
    measured = entry.measured
    if measured is None:
        return [("measured", "not by us")]
    parts = []
    if measured.portraits_iou is not None:
        parts.append(f"person IoU on portraits {measured.portraits_iou:.3f}")
    if measured.street_iou is not None:
        parts.append(f"on street pictures {measured.street_iou:.3f}")
    if measured.everyday_iou is not None:
        parts.append(f"on everyday pictures {measured.everyday_iou:.3f}")
    if measured.cpu_ms is not None:
        parts.append(f"{measured.cpu_ms:g} ms a frame on one CPU thread")
    return [("measured", ", ".join(parts)), ("", f"({measured.on})")]
