# SPDX-License-Identifier: GPL-2.0-or-later
"""``models convert`` as a person meets it: real TFLite and PyTorch files, and everything that can be wrong with one."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from background_filter.filters.cli import commands
from background_filter.filters.cli.errors import CommandError
from background_filter.filters.engine.network import load_network
from background_filter.filters.engine.prepare import make_preparer
from background_filter.filters.engine.sample_pictures import self_test_picture
from background_filter.models import networks
from background_filter.models.catalog import load_catalog
from background_filter.models.tools.convert import ALLOWED_DIFFERENCE, ALLOWED_FLIPS
from background_filter.models.tools.convert.from_tflite import pack
from background_filter.models.tools.convert.parity import Bounds, OutputParity, compare, make_examples, share_of_flips
from background_filter.models.tools.convert.tflite_file import names_of, parse
from background_filter.models.tools.convert.torch_weights import from_weights, renamed
from background_filter.models.training.pictures import read_picture, resize
from background_filter.models.trust import read_model
from background_filter.tests.engine import shaped_nets
from background_filter.tests.engine.nets import brightness_net
from background_filter.tests.models.tools.graphs import SMALL
from background_filter.tests.models.training.chains import checkpoint

ROOT = Path(__file__).resolve().parents[3]
Convert = Callable[..., tuple[int, str]]


@pytest.fixture
def convert(capsys: pytest.CaptureFixture[str]) -> Convert:
    """Run the command in this interpreter; its exit code, and what it said."""

    def run(*arguments: object) -> tuple[int, str]:
        code = commands.run(["models", "--here", "convert", *map(str, arguments)])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def answers(path: Path, *feeds: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {session.get_inputs()[0].name: feed})[0] for feed in feeds])


# TFLite

FILES = {
    "mediapipe/mp_selfie_landscape_144x256.tflite": "mediapipe/mediapipe_selfie_landscape_144x256.onnx",
    "mediapipe/mp_selfie_general_256.tflite": "mediapipe/mediapipe_selfie_general_256.onnx",
    "bodypix/bodypix_050_8.tflite": "bodypix/bodypix_050_8.onnx",
    "deeplab-voc/deeplabv3_257_mv_gpu.tflite": "deeplab-voc/deeplabv3_257_mv_gpu.onnx",
    "portrait-mnv3/anil_mnv3_seg_float.tflite": "portrait-mnv3/anil_mnv3_seg_float.onnx",
}


@pytest.mark.parametrize("file", FILES)
def test_real_tflite_files_answer_as_litert_and_as_others_conversions_do(
    file: str, shared_folder: Path, tmp_path: Path, convert: Convert
) -> None:
    out = tmp_path / "converted.onnx"
    code, said = convert(shared_folder / "models" / file, out)
    assert code == 0, said
    assert "against LiteRT" in said
    assert "0.0000% of the mask's pixels flip" in said
    assert f"models import {out}" in said
    model = onnx.load(out)
    assert [each.op_type for each in model.graph.node].count("Transpose") == 2
    sides = [side.dim_value for side in model.graph.input[0].type.tensor_type.shape.dim]
    picture = (self_test_picture(sides[2], sides[1])[None, ..., :3] / 255).astype(np.float32)
    expected = answers(shared_folder / "models" / FILES[file], picture)
    assert np.abs(answers(out, picture) - expected).max() <= 1e-3 * np.abs(expected).max()


def test_mediapipe_s_file_is_known_and_runs_through_its_entry(
    shared_folder: Path, tmp_path: Path, convert: Convert, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "landscape.onnx"
    _, said = convert(shared_folder / "models" / "mediapipe" / "mp_selfie_landscape_144x256.tflite", out)
    assert f"models import {out} --as mediapipe_landscape" in said
    assert commands.run(["models", "import", str(out), "--as", "mediapipe_landscape", "--trust"]) == 0
    network = load_network(read_model(load_catalog()["mediapipe_landscape"]), "cpu").network
    picture = self_test_picture(network.width, network.height)
    alpha = network.new_sequence()(network.prepare(picture), picture, 0)
    assert alpha[-10:, 100:156].mean() > 128 > alpha[:20].mean()


def tflite(tmp_path: Path, convert: Convert) -> Path:
    """A real, small TFLite file, made by us."""
    source, made = tmp_path / "small.onnx", tmp_path / "small.tflite"
    source.write_bytes(SMALL["channels last"])
    code, said = convert(source, made)
    assert code == 0, said
    return made


def test_a_damaged_tflite_file_is_refused_wherever_it_ends(tmp_path: Path, convert: Convert) -> None:
    whole = tflite(tmp_path, convert).read_bytes()
    cut = tmp_path / "cut.tflite"
    for length in range(8, len(whole) - 8, 97):
        cut.write_bytes(whole[:length])
        code, said = convert(cut, tmp_path / "out.onnx")
        assert code == 1, length
        assert "cut off or damaged" in said or "is damaged" in said or "graphs" in said, said
    assert not (tmp_path / "out.onnx").exists()


def test_an_operator_that_is_not_known_is_named(tmp_path: Path, convert: Convert) -> None:
    data = tflite(tmp_path, convert).read_bytes()
    model = parse(data, "small.tflite")
    numbers = {name: number for number, name in names_of("BuiltinOperator").items()}
    for code, name in zip(model.operatorCodes, ("LSTM", "CUSTOM")):
        code.builtinCode = code.deprecatedBuiltinCode = numbers[name]
        code.customCode = b"TheirOwn" if name == "CUSTOM" else None
    path = tmp_path / "strange.tflite"
    path.write_bytes(pack(model))
    code, said = convert(path, tmp_path / "out.onnx")
    assert code == 1
    assert "not known here: LSTM, TheirOwn" in said


# PyTorch


def save_state(path: Path, name: str, prefix: str = "", **options: object) -> torch.nn.Module:
    torch.manual_seed(0)
    network = networks.create(name, **options)
    torch.save(
        {"epoch": 3, "state_dict": {f"{prefix}{key}": value for key, value in network.state_dict().items()}}, path
    )
    return network.eval()


SMALL_U2NET = {"outer": (8,) * 6, "middle": (4,) * 6, "decoder_outer": (8,) * 5, "decoder_middle": (4,) * 5}


@pytest.mark.parametrize(("name", "options"), [("u2net", SMALL_U2NET), ("deeplabv3plus", {}), ("unet_light", {})])
def test_weights_of_published_architectures(
    name: str, options: dict[str, object], tmp_path: Path, convert: Convert
) -> None:
    network = save_state(tmp_path / "net.pth", name, "module.", **options)
    typed = [f"--option={key}={value}" for key, value in options.items()]
    out = tmp_path / "net.onnx"
    code, said = convert(tmp_path / "net.pth", out, "--architecture", name, "--size", "64x32", *typed)
    assert code == 0, said
    assert "against PyTorch" in said
    picture = torch.rand(1, 3, 32, 64)
    with torch.no_grad():
        assert np.allclose(answers(out, picture.numpy()), network(picture).numpy(), atol=1e-5)
    if name == "unet_light":  # the others take long, and hold no operator that test_convert_operators.py does not have
        there_and_back(tmp_path / "net.onnx", convert)


# NAVER's files: the entry of the catalogue that says how the ONNX file that others made of it is fed.
NAVER = {"sinet": "sinet_224", "extremec3": "extremec3"}


@pytest.mark.parametrize("name", NAVER)
def test_real_weights_of_naver_answer_as_others_conversions_do(
    name: str, shared_folder: Path, tmp_path: Path, convert: Convert
) -> None:
    file, out = shared_folder / "models" / name / f"{name}_224.pth", tmp_path / "converted.onnx"
    code, said = convert(file, out, "--architecture", name, "--size", "224x224")
    assert code == 0, said
    assert "against PyTorch" in said
    assert "0.0000% of the mask's pixels flip" in said
    preparer = make_preparer(load_catalog()[NAVER[name]].input, np.float32)
    pictures = photographs(shared_folder)
    theirs = answers(file.with_suffix(".onnx"), *(np.array(preparer.fill(picture)) for picture in pictures))
    expected = theirs[:, -1:] - theirs[:, :1] if theirs.shape[1] == 2 else theirs
    assert ((expected > 0).mean(axis=(1, 2, 3)) > 0.02).all()
    in_0_to_1 = [(picture[None, ..., :3] / 255).astype(np.float32).transpose(0, 3, 1, 2) for picture in pictures]
    found = answers(out, *in_0_to_1)
    largest, flips = np.abs(found - expected).max(), np.sum((found > 0) != (expected > 0))
    print(f"{name}: logits differ from the other conversion's by at most {largest:.1e}; {flips} of {found.size} flip")
    assert largest < 1e-3
    assert flips <= len(pictures)  # rounding may turn a pixel whose logit is all but 0


def photographs(shared_folder: Path) -> list[np.ndarray]:
    """Photographs of people, portraits and street, uint8 RGBA [224,224,4]."""
    folders = (shared_folder / "data" / "dev" / kind / "img" for kind in ("portraits", "street"))
    paths = [path for folder in folders for path in sorted(folder.iterdir())[:4]]
    return [cv2.cvtColor(resize(read_picture(path), (224, 224)), cv2.COLOR_BGR2RGBA) for path in paths]


@pytest.mark.parametrize("name", NAVER)
def test_the_published_names_are_known_inside_their_wrapping(
    name: str, shared_folder: Path, tmp_path: Path, convert: Convert
) -> None:
    published = torch.load(shared_folder / "models" / name / f"{name}_224.pth", map_location="cpu", weights_only=True)
    wrapped = tmp_path / "wrapped.pth"
    torch.save({"state_dict": {f"module.{key}": value for key, value in published.items()}}, wrapped)
    found, ours = from_weights(wrapped, name, {}, None).module.state_dict(), networks.create(name).state_dict()
    counters = {key for key in ours if key.endswith("num_batches_tracked")}  # one of the two files lacks some
    assert found.keys() == ours.keys()
    assert len(found.keys() - counters) == len([key for key in published if not key.endswith("num_batches_tracked")])
    for key, value in renamed(published, networks.create(name).published_names).items():
        assert torch.equal(found[key], value), key
    other = next(each for each in NAVER if each != name)
    code, said = convert(wrapped, tmp_path / "o.onnx", "--architecture", other)
    assert code == 1
    assert f"these are not the weights of {other}" in said
    assert "belong to no layer" in said


def there_and_back(onnx_file: Path, convert: Convert, *more: str) -> None:
    """To TFLite and back; both agree with what they were made of."""
    tflite_file, back = onnx_file.with_suffix(".tflite"), onnx_file.with_name("back.onnx")
    for source, target, options in ((onnx_file, tflite_file, more), (tflite_file, back, ())):
        code, said = convert(source, target, *options)
        assert code == 0, said
        assert "LiteRT" in said
        assert "pixels flip" in said


@pytest.mark.parametrize(
    ("model", "more"),
    [(shaped_nets.u2net(), ()), (shaped_nets.softmaxed(), ()), (shaped_nets.modnet(), ("--size", "96x64"))],
    ids=["u2net, seven outputs", "softmax", "modnet, any size"],
)
def test_graphs_as_their_authors_export_them(
    model: onnx.ModelProto, more: tuple[str, ...], tmp_path: Path, convert: Convert
) -> None:
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    there_and_back(tmp_path / "net.onnx", convert, *more)


def test_sides_that_no_size_tells_are_named(tmp_path: Path, convert: Convert) -> None:
    (tmp_path / "rvm.onnx").write_bytes(shaped_nets.rvm().SerializeToString())
    assert "any size. Give the one" in convert(tmp_path / "rvm.onnx", tmp_path / "rvm.tflite")[1]
    code, said = convert(tmp_path / "rvm.onnx", tmp_path / "rvm.tflite", "--size", "64x32")
    assert code == 1 and "the sides of its input r1i are open" in said


def test_a_recurrent_network_is_compared_with_what_it_remembers() -> None:
    session = onnxruntime.InferenceSession(shaped_nets.rvm().SerializeToString())
    examples = make_examples(session, "rvm.onnx", None, [])
    assert examples.ports is not None
    states = [state.input for state in examples.ports.states]
    assert len(states) == 4
    first, second = examples.feeds[:2]
    assert not any(first[name].any() for name in states)
    assert any(second[name].any() for name in states)
    names = [port.name for port in session.get_outputs()]
    answers = [session.run(names, dict(feed)) for feed in examples.feeds]
    assert compare(names, answers, answers, examples.ports).flips == 0.0


def test_a_checkpoint_of_our_training_says_itself_what_it_is(tmp_path: Path, convert: Convert) -> None:
    code, said = convert(checkpoint(tmp_path / "best.pt"), tmp_path / "ours.onnx")
    assert code == 0, said
    assert onnx.load(tmp_path / "ours.onnx").graph.output[0].name == "logits"


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one network as TorchScript and as an exported program."""
    folder = tmp_path_factory.mktemp("programs")
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 1, 1)).eval()
    example = (torch.zeros(1, 3, 32, 64),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(network, example).save(str(folder / "script.pt"))
        torch.export.save(torch.export.export(network, example), str(folder / "program.pt2"))
    return folder


@pytest.mark.parametrize(("file", "more"), [("script.pt", ["--size", "64x32"]), ("program.pt2", [])])
def test_programs_are_converted_once_they_are_trusted(
    file: str, more: list[str], programs: Path, tmp_path: Path, convert: Convert
) -> None:
    code, said = convert(programs / file, tmp_path / "out.onnx", *more)
    assert code == 1
    assert "is a program" in said
    assert "--trust" in said
    code, said = convert(programs / file, tmp_path / "out.onnx", *more, "--trust")
    assert code == 0, said
    assert answers(tmp_path / "out.onnx", np.zeros((1, 3, 32, 64), np.float32)).shape == (1, 1, 32, 64)


def test_torchscript_without_a_size_and_weights_without_an_architecture(
    programs: Path, tmp_path: Path, convert: Convert
) -> None:
    assert "--size 256x144" in convert(programs / "script.pt", tmp_path / "o.onnx", "--trust")[1]
    assert (
        "whole network" in convert(programs / "script.pt", tmp_path / "o.onnx", "--trust", "--architecture", "u2net")[1]
    )
    save_state(tmp_path / "net.pth", "unet_light")
    assert "--architecture NAME, one of person_unet" in convert(tmp_path / "net.pth", tmp_path / "o.onnx")[1]


class RunsCode:
    """What a pickle can do when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_would_run_code_is_not_opened(tmp_path: Path, convert: Convert) -> None:
    trap = tmp_path / "sprung"
    torch.save({"state_dict": RunsCode(trap)}, tmp_path / "zip.pth")
    (tmp_path / "bare.pth").write_bytes(pickle.dumps({"weights": RunsCode(trap)}))
    torch.save(torch.nn.Conv2d(3, 1, 1), tmp_path / "module.pth")
    for name in ("zip.pth", "bare.pth", "module.pth"):
        code, said = convert(tmp_path / name, tmp_path / "out.onnx", "--architecture", "u2net", "--trust")
        assert code == 1
        assert "could run code" in said or "cut off or damaged" in said, said
    assert not trap.exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            ["--architecture", "u2net_light"],
            "not the weights of u2net_light: .* missing, .* belong to no layer",
        ),
        (["--architecture", "nothing"], "unknown network 'nothing'"),
        (["--architecture", "unet_light", "--option", "depth=9"], "has no option 'depth'"),
        (["--architecture", "unet_light", "--option", "depth"], "expected KEY=VALUE"),
        (["--architecture", "unet_light", "--size", "100x100"], "multiples of"),
        (["--architecture", "unet_light", "--size", "big"], "expected WIDTHxHEIGHT"),
        (["--architecture", "unet_light", "--as", "nothing"], "there is no model “nothing”"),
        (["--architecture", "unet_light", "--size", "64x64", "--as", "u2netp"], "belong to --architecture u2net_light"),
        (
            ["--architecture", "unet_light", "--size", "64x64", "--as", "rvm_mobilenetv3_tf"],
            "can't be fed with pictures",
        ),
        (["--architecture", "unet_light", "--size", "64x64", "--pictures", "none.jpg"], "none.jpg"),
    ],
)
def test_wrong_options(more: list[str], words: str, tmp_path: Path, convert: Convert) -> None:
    save_state(tmp_path / "net.pth", "unet_light")
    code, said = convert(tmp_path / "net.pth", tmp_path / "out.onnx", *more)
    assert code in (1, 2)
    assert re.search(words, said), said
    assert not (tmp_path / "out.onnx").exists()


# The comparison


def test_a_result_that_differs_too_much_is_not_written(tmp_path: Path, convert: Convert) -> None:
    save_state(tmp_path / "net.pth", "unet_light")
    (tmp_path / "out.onnx").write_bytes(b"what was there before")
    typed = ("--architecture", "unet_light", "--size", "64x64", "--allowed-difference", 0)
    code, said = convert(tmp_path / "net.pth", tmp_path / "out.onnx", *typed)
    assert code == 1
    assert "does not compute what the original does" in said
    assert (tmp_path / "out.onnx").read_bytes() == b"what was there before"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["net.pth", "out.onnx"]


def test_what_is_within_the_bounds() -> None:
    bounds = Bounds(ALLOWED_DIFFERENCE, ALLOWED_FLIPS)
    logits = [[np.linspace(-10, 10, 200, dtype=np.float32)]]

    def found(change: float, place: int = 50) -> bool:
        other = logits[0][0].copy()
        other[place] += change
        return compare(["y"], logits, [[other]], None).is_within(bounds)

    assert found(0.005)
    assert not found(0.02)
    assert not found(float("nan"))
    assert not OutputParity("y", float("nan"), 0.0, 1.0).is_within(bounds)


def test_answers_of_another_shape_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"expected \[2, 3\], found \[3, 2\]"):
        compare(["y"], [[np.zeros((2, 3))]], [[np.zeros((3, 2))]], None)


def test_the_mask_s_pixels_that_flip_are_counted(tmp_path: Path, convert: Convert) -> None:
    session = onnxruntime.InferenceSession(brightness_net().SerializeToString())
    ports = make_examples(session, "bright.onnx", None, []).ports
    assert ports is not None
    left, right = np.full((1, 1, 24, 32), -5, np.float32), np.full((1, 1, 24, 32), -5, np.float32)
    right[..., :16] = 5
    share = share_of_flips(["mask"], [[left]], [[right]], ports)
    assert share == pytest.approx(0.5, abs=0.02)


# Files


def test_what_can_t_be_converted_is_said_in_plain_words(tmp_path: Path, convert: Convert) -> None:
    out = tmp_path / "out.onnx"
    (tmp_path / "empty.tflite").touch()
    (tmp_path / "text.onnx").write_text("this is no network")
    (tmp_path / "broken.pt").write_bytes(b"PK\x03\x04 and nothing more")
    (tmp_path / "own.onnx").write_bytes(brightness_net().SerializeToString())
    cases = {
        "gone.tflite": "no such file",
        "empty.tflite": "is empty",
        "text.onnx": "no format that can be converted",
        "broken.pt": "cut off or damaged",
        "own.onnx": "is ONNX already",
        "": "no TensorFlow SavedModel",
    }
    for name, words in cases.items():
        code, said = convert(tmp_path / name, out)
        assert code == 1
        assert words in said, said
    assert not out.exists()


def test_where_the_result_can_t_go(tmp_path: Path, convert: Convert) -> None:
    own = tmp_path / "own.onnx"
    own.write_bytes(brightness_net().SerializeToString())
    for out, words in {
        "out.txt": "ends in .onnx or .tflite",
        "no/such.tflite": "no folder",
        "own.onnx": "original",
    }.items():
        code, said = convert(own, tmp_path / out)
        assert code == 2
        assert words in said


def test_8_bit_networks_are_not_made_tflite_of(tmp_path: Path, convert: Convert) -> None:
    code, said = convert(ROOT / "models" / "weights" / "person_fast_256x144.onnx", tmp_path / "out.tflite")
    assert code == 1
    assert "computes in 8 bits" in said


def test_open_sides_take_a_size(tmp_path: Path, convert: Convert) -> None:
    source = tmp_path / "any.onnx"
    source.write_bytes(brightness_net(dynamic=True).SerializeToString())
    assert "--size 256x144" in convert(source, tmp_path / "any.tflite")[1]
    code, said = convert(source, tmp_path / "any.tflite", "--size", "64x48")
    assert code == 0, said


@pytest.mark.skipif(os.name != "posix", reason="file size limits are POSIX's")
def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: the same call fails, in the same place."""
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        f"sys.path.insert(0, {str(ROOT)!r}); import obs_background_filter;"
        "from background_filter.models.tools.convert.making import write; from pathlib import Path;"
        f"write(Path({str(tmp_path / 'out.onnx')!r}), b'x' * 5000)"
    )
    (tmp_path / "out.onnx").write_bytes(b"before")
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "CommandError" in result.stderr
    assert "can't be written" in result.stderr
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("out.onnx", b"before")]
