# SPDX-License-Identifier: GPL-2.0-or-later
"""The whole way in seconds: pictures, manifest, pack, run, 8-bit export, evaluation, and the engine runs the file."""

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from background_filter.filters.cli.train import run_step
from background_filter.filters.engine.network import load_network
from background_filter.models import trust
from background_filter.models.catalog import load_catalog
from background_filter.models.training.pictures import write_picture
from background_filter.models.training.watch import read_log
from background_filter.tests.models.product import write_checksums
from background_filter.tests.models.training.people import make_folder, person, room

ROOT = Path(__file__).resolve().parents[3]
TINY = ROOT / "models" / "training" / "configs" / "tiny.toml"
# What the network must reach on pictures that it has not seen. One that calls nothing or everything a person is far
# below; trained as configured it reaches .95 or more.
SMALLEST_IOU = 0.85
UNSEEN = range(1000, 1010)


def step(name: str, *arguments: object) -> None:
    assert run_step(name, [str(argument) for argument in arguments]) == 0


def train(folder: Path) -> Path:
    """Pictures to checkpoint; gives the run's folder."""
    make_folder(folder / "people", 40)
    for i in range(10):
        write_picture(folder / "rooms" / "images" / f"r{i}.png", room(100 + i))
    step("manifest", folder / "people", "--licence", "CC0-1.0", "--val-every", 5, "--out", folder / "people.csv")
    step("manifest", folder / "rooms", "--kind", "room", "--licence", "CC0-1.0", "--out", folder / "rooms.csv")
    step("manifest", "--join", folder / "people.csv", folder / "rooms.csv", "--out", folder / "all.csv")
    step("pack", folder / "all.csv", "--out", folder / "pack")
    step("run", TINY, "--set", f"pack={folder / 'pack'}", "--set", f"out={folder / 'run'}")
    return folder / "run"


def make_unseen(folder: Path) -> None:
    for i in UNSEEN:
        picture, mask = person(i)
        write_picture(folder / "images" / f"p{i}.png", picture)
        write_picture(folder / "masks" / f"p{i}.png", mask)


def iou_in_the_engine(product: Path) -> float:
    """Mean person IoU of the product's one model on unseen pictures, verified and run as the engine does it."""
    (entry,) = load_catalog(product / "models" / "catalog").values()
    network = load_network(trust.read_model(entry, product), "cpu").network
    scores = []
    for i in UNSEEN:
        picture, mask = person(i)
        small = cv2.resize(picture, (network.width, network.height))
        frame = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGBA), np.uint8)
        seen = network.new_sequence()(network.prepare(frame), frame, i) > 127
        true = mask > 127
        scores.append((seen & true).sum() / (seen | true).sum())
    return float(np.mean(scores))


def test_from_pictures_to_a_mask_in_the_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = train(tmp_path)
    assert read_log(run)[-1]["person_iou"] > SMALLEST_IOU

    product = tmp_path / "product"
    weights = product / "models" / "weights" / "tiny.onnx"
    weights.parent.mkdir(parents=True)
    (product / "models" / "catalog").mkdir()
    entry = product / "models" / "catalog" / "tiny.json"
    int8 = ("--int8", "--pack", tmp_path / "pack", "--allowed-loss", 0.05)
    loose = ("--allowed-boundary-loss", 0.1, "--allowed-mad-gain", 0.05)
    step("export", run / "best.pt", "--out", weights, *int8, *loose, "--catalog", entry)
    assert any(node.op_type == "QuantizeLinear" for node in onnx.load(weights).graph.node), capsys.readouterr().out

    make_unseen(tmp_path / "sets" / "unseen")
    measured = ("--conditions", "as is", "--rounds", 2, "--out", tmp_path / "report")
    step("evaluate", "--data", tmp_path / "sets", "--network", weights, *measured)
    (found,) = json.loads((tmp_path / "report" / "results.json").read_text())["networks"]
    assert found["sets"]["unseen"]["as is"]["person_iou"] > SMALLEST_IOU

    write_checksums(product, {})
    with pytest.raises(trust.ModelRefused, match="untrusted"):
        iou_in_the_engine(product)
    trust.trust_file(weights)
    assert iou_in_the_engine(product) > SMALLEST_IOU
