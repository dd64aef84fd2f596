# SPDX-License-Identifier: GPL-2.0-or-later
"""Turn a checkpoint into one ONNX file, checked against PyTorch, and where it is good enough, quantised.

    ... models.training.export --checkpoint runs/person_unet/best.pt --pack cache/pack --int8 \\
        --out models/weights/person_unet_256x144.onnx

With `--int8` the network is quantised statically (QDQ, 8-bit activations, per-channel 7-bit weights, so that
no processor without VNNI saturates), calibrated on training frames. The quantised file is written only if it
loses no more than `--allowed-loss` of IoU on the held-out pictures; otherwise the float file is. The first
and the last convolution stay in float: with 3 and 1 channels they gain nothing from 8 bits.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from ..networks.person_unet import INPUT_HEIGHT, INPUT_WIDTH, PersonUNet, count_macs
from .pack import Pack
from .frames import FrameBatches, validation_batch
from .teachers import open_session

INPUT_NAME, OUTPUT_NAME = "picture", "logits"
OPSET, NEWEST_IR = 17, 10
CALIBRATION_FRAMES = 256
DESCRIPTION = {
    "task": "person segmentation",
    "input": "float32 NCHW RGB, 0..1, 256x144",
    "output": "float32 logits at half resolution, 128x72; the sigmoid gives the person probability",
    "licence": "GPL-2.0-or-later",
}


def load_network(checkpoint: Path) -> PersonUNet:
    """Network in evaluation mode with the averaged weights of a training checkpoint."""
    network = PersonUNet()
    network.load_state_dict(torch.load(checkpoint, weights_only=True)["average"])
    return network.eval()


def export_float(network: PersonUNet, path: Path) -> None:
    """Write the float32 ONNX file with a fixed input of [1,3,144,256]."""
    example = torch.zeros(1, 3, INPUT_HEIGHT, INPUT_WIDTH)
    torch.onnx.export(
        network, (example,), str(path), opset_version=OPSET, dynamo=False,
        input_names=[INPUT_NAME], output_names=[OUTPUT_NAME],
    )  # fmt: skip


def run_onnx(path: Path, pictures: torch.Tensor) -> np.ndarray:
    """Logits float32 [N,1,72,128] of an ONNX file for uint8 pictures [N,3,144,256], one by one."""
    session = open_session(path)
    batch = pictures.numpy().astype(np.float32) / 255
    return np.concatenate([session.run(None, {INPUT_NAME: one[None]})[0] for one in batch])


def onnx_iou(path: Path, pictures: torch.Tensor, targets: torch.Tensor) -> float:
    """Mean person IoU of an ONNX file over uint8 pictures and uint8 targets [N,1,72,128]."""
    seen, true = run_onnx(path, pictures) > 0, targets.numpy() > 127
    axes = (1, 2, 3)
    return float((((seen & true).sum(axes) + 1e-6) / ((seen | true).sum(axes) + 1e-6)).mean())


def print_parity(network: PersonUNet, path: Path, pictures: torch.Tensor) -> None:
    """Print the largest difference of logits between PyTorch and the ONNX file; over 0.01 is an error."""
    with torch.no_grad():
        expected = network(pictures.float() / 255).numpy()
    difference = float(np.abs(run_onnx(path, pictures) - expected).max())
    print(f"parity: logits differ by at most {difference:.2e}")
    if difference > 0.01:
        raise SystemExit(f"{path.name}: expected PyTorch's logits within 0.01, found {difference:.3f}")


class TrainingFrames(CalibrationDataReader):
    """Calibration data: random training frames, as float32 [1,3,144,256]."""

    def __init__(self, pack: Pack, count: int = CALIBRATION_FRAMES, seed: int = 7) -> None:
        pictures, _ = next(iter(FrameBatches(pack, count, seed)))
        self.frames = iter(pictures.numpy().astype(np.float32)[:, None] / 255)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Next feed, or None at the end."""
        frame = next(self.frames, None)
        return None if frame is None else {INPUT_NAME: frame}


def quantise(source: Path, target: Path, pack: Pack, method: CalibrationMethod) -> None:
    """Write the statically quantised copy of a float ONNX file."""
    prepared = target.with_suffix(".prepared.onnx")
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    convolutions = [node.name for node in onnx.load(prepared).graph.node if node.op_type == "Conv"]
    quantize_static(
        str(prepared), str(target), TrainingFrames(pack), quant_format=QuantFormat.QDQ, per_channel=True,
        reduce_range=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        nodes_to_exclude=[convolutions[0], convolutions[-1]], calibrate_method=method,
    )  # fmt: skip
    prepared.unlink()


def double_by_repeating(model: onnx.ModelProto) -> None:
    """Replace each nearest doubling of quantised features by two concatenations of them with themselves.

    The values stay the same to the bit. ONNX Runtime's nearest Resize of 8-bit data takes 0.25 ms of the network's
    2.4; copying takes half of that.
    """
    graph = onnx.shape_inference.infer_shapes(model).graph
    sides = {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in graph.value_info}
    maker = {output: node for node in model.graph.node for output in node.output}
    users = {name: node for node in model.graph.node for name in node.input}
    for resize in [node for node in model.graph.node if node.op_type == "Resize"]:
        before, after = maker[resize.input[0]], users.get(resize.output[0])
        if before.op_type != "DequantizeLinear" or after is None or after.op_type != "QuantizeLinear":
            continue  # float: fast as it is
        if list(before.input[1:]) != list(after.input[1:]) and not _same_scale(model, before, after):
            raise SystemExit(f"{resize.name}: expected one scale before and after")
        _, channels, height, width = sides[resize.input[0]]
        name, at = resize.name, list(model.graph.node).index(resize)
        shapes = [
            [1, channels, height, width, 1],
            [1, channels, height, 1, 2 * width],
            [1, channels, 2 * height, 2 * width],
        ]
        for number, shape in enumerate(shapes):
            model.graph.initializer.append(
                onnx.numpy_helper.from_array(np.array(shape, np.int64), f"{name}/shape{number}")
            )
        make = onnx.helper.make_node
        nodes = [
            make("Reshape", [before.input[0], f"{name}/shape0"], [f"{name}/pixels"], f"{name}/pixels"),
            make("Concat", [f"{name}/pixels"] * 2, [f"{name}/wide"], f"{name}/wide", axis=4),
            make("Reshape", [f"{name}/wide", f"{name}/shape1"], [f"{name}/rows"], f"{name}/rows"),
            make("Concat", [f"{name}/rows"] * 2, [f"{name}/high"], f"{name}/high", axis=3),
            make("Reshape", [f"{name}/high", f"{name}/shape2"], [after.output[0]], f"{name}/doubled"),
        ]
        for node in (resize, after):
            model.graph.node.remove(node)
        for offset, node in enumerate(nodes):
            model.graph.node.insert(at + offset, node)
    used = {name for node in model.graph.node for name in node.input}
    for weights in [each for each in model.graph.initializer if each.name not in used]:
        model.graph.initializer.remove(weights)


def _same_scale(model: onnx.ModelProto, one: onnx.NodeProto, other: onnx.NodeProto) -> bool:
    """Whether two (de)quantisations use equal scales and zero points."""
    values = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    return all(np.array_equal(values[a], values[b]) for a, b in zip(one.input[1:], other.input[1:]))


def finish(source: Path, target: Path, macs: int) -> None:
    """Add the description, check the file, and move it to its place in one step; prints size and SHA-256."""
    model = onnx.load(source)
    double_by_repeating(model)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, DESCRIPTION | {"multiply_accumulates": str(macs)})
    # The quantiser declares operator sets that no node uses, newer than older runtimes accept.
    used = {node.domain for node in model.graph.node}
    versions = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(versions)
    model.ir_version = min(model.ir_version, NEWEST_IR)
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString(deterministic=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(".part")
    temporary.write_bytes(content)
    os.replace(temporary, target)
    digest = hashlib.sha256(content).hexdigest()
    print(f"{target.name}: {len(content) / 1e6:.2f} MB, {macs / 1e6:.0f} MMAC, {digest}")


def choose(folder: Path, float_file: Path, pack: Pack, allowed_loss: float) -> Path:
    """Quantise by two calibrations, measure them on the held-out pictures, and return the file to ship."""
    held_out = validation_batch(pack)
    float_iou = onnx_iou(float_file, *held_out)
    print(f"held-out IoU: float {float_iou:.4f}")
    best, best_iou = float_file, float_iou - allowed_loss
    for method in (CalibrationMethod.MinMax, CalibrationMethod.Percentile):
        candidate = folder / f"int8-{method.name}.onnx"
        quantise(float_file, candidate, pack, method)
        iou = onnx_iou(candidate, *held_out)
        print(f"held-out IoU: int8 {method.name} {iou:.4f}")
        if iou > best_iou:
            best, best_iou = candidate, iou
    return best


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, required=True, help="best.pt or last.pt of a run")
    parser.add_argument("--out", type=Path, required=True, help="ONNX file to write")
    parser.add_argument("--pack", type=Path, required=True, help="packed pictures, for calibration")
    parser.add_argument("--int8", action="store_true", help="quantise if the IoU allows it")
    parser.add_argument("--allowed-loss", type=float, default=0.003, help="largest loss of IoU to accept")
    arguments = parser.parse_args()
    network, pack = load_network(arguments.checkpoint), Pack(arguments.pack)
    with tempfile.TemporaryDirectory() as name:
        chosen = Path(name) / "float.onnx"
        export_float(network, chosen)
        print_parity(network, chosen, validation_batch(pack)[0][:16])
        if arguments.int8:
            chosen = choose(Path(name), chosen, pack, arguments.allowed_loss)
        finish(chosen, arguments.out, count_macs(network))


if __name__ == "__main__":
    main()
