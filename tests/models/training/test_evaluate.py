# SPDX-License-Identifier: GPL-2.0-or-later
"""An evaluation from folders to tables and pictures, with networks whose answers are known."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from background_filter.filters.cli.errors import CommandError
from background_filter.models.training import evaluate, measuring, report
from background_filter.models.training.cost import count_macs, time_side_by_side
from background_filter.models.training.measuring import (
    Case,
    NetworkResult,
    Results,
    brighten,
    darken,
    find_sets,
    still_clip,
    thin,
)
from background_filter.models.training.metrics import measure
from background_filter.models.training.pictures import read_picture, write_picture
from background_filter.models.training.teachers import describe, own_network
from background_filter.tests.engine.nets import brightness_net
from background_filter.tests.models.training.people import HEIGHT, WIDTH, bright_teacher, make_folder, room, step

PICTURES = 3


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set `data/bright`, a folder `rooms` with one room that has a white poster, and two networks."""
    folder = tmp_path_factory.mktemp("world")
    make_folder(folder / "data" / "bright", PICTURES)
    for number in range(2):
        empty = room(number)
        if number:
            empty[10:20, 10:26] = 250
        write_picture(folder / "rooms" / f"r{number}.png", empty)
    yardstick = folder / "models" / "mediapipe" / describe("mediapipe_landscape").file
    yardstick.parent.mkdir(parents=True)
    onnx.save(brightness_net(256, 144, "NHWC", "probability", half_size=False), yardstick)
    onnx.save(brightness_net(WIDTH, HEIGHT), folder / "small.onnx")
    return folder


@pytest.fixture(scope="module")
def written(world: Path) -> Path:
    out = world / "report"
    arguments = ["--data", world / "data", "--rooms", world / "rooms", "--network", world / "small.onnx"]
    assert step(evaluate, *arguments, "--teachers-from", world / "models", "--rounds", 2, "--out", out) == 0
    return out


def test_the_figures_are_right(world: Path, written: Path) -> None:
    results = Results.read(written / "results.json")
    assert (results.yardstick, results.own) == ("mediapipe_landscape", ["small"])
    assert results.counts == {"bright": PICTURES, "rooms": 2}
    small = results.networks[0]
    network = own_network(world / "small.onnx")
    ious = []
    for number in range(PICTURES):
        folder = world / "data" / "bright"
        picture, truth = Case(folder / "images" / f"p{number}.png", folder / "masks" / f"p{number}.png").read()
        seen = network.predict(picture) >= 0.5
        ious.append((seen & truth).sum() / (seen | truth).sum())
    assert small.sets["bright"]["as is"]["person_iou"] == pytest.approx(np.mean(ious))
    assert np.mean(ious) > 0.9
    # What tells people by their brightness finds nobody in the dark.
    assert small.sets["bright"]["dark"]["person_iou"] < 0.1
    assert set(small.sets["bright"]) == {"as is", "dark", "bright"} and "flicker" in small.sets["bright"]["as is"]


def test_rooms_count_what_is_taken_for_a_person(written: Path) -> None:
    rooms = Results.read(written / "results.json").networks[0].rooms["rooms"]["as is"]
    assert rooms["worst"] == pytest.approx(10 * 16 / (WIDTH * HEIGHT), rel=0.3)
    assert rooms["mean"] == pytest.approx(rooms["worst"] / 2) and rooms["over_limit"] == 1


def test_costs_are_counted_and_compared(written: Path) -> None:
    small, yardstick = Results.read(written / "results.json").networks
    assert small.macs == (WIDTH // 2) * (HEIGHT // 2) * 3 * 4 and yardstick.macs == 256 * 144 * 3
    assert yardstick.ratio == pytest.approx(1) and small.ratio is not None and small.ms > 0 and small.bytes > 0


def test_pictures_and_tables_are_written(written: Path) -> None:
    names = {path.name for path in written.iterdir()}
    pictures = {
        "quality_against_time.png",
        "sets.png",
        "typical.png",
        "worst_small.png",
        "worst_mediapipe_landscape.png",
    }
    assert names == pictures | {"table.md", "results.json"}
    for name in pictures:
        pixels = read_picture(written / name)
        assert pixels.std() > 10 and min(pixels.shape[:2]) > 150
    # Picture, truth, the network, the yardstick; every picture once.
    assert read_picture(written / "worst_small.png").shape[:2] == (
        PICTURES * (report.CELL_HEIGHT + report.CAPTION_HEIGHT),
        4 * report.CELL_WIDTH,
    )
    tables = (written / "table.md").read_text()
    assert "| small | 0.00 | 0 |" in tables and "small beats mediapipe_landscape in" in tables
    widths = [{line.count("|") for line in part.splitlines() if line.startswith("|")} for part in tables.split("###")]
    assert all(len(each) <= 1 for each in widths)


def test_only_some_pictures_evenly_spread(world: Path) -> None:
    cases = [Case(Path(f"{number}.png"), None) for number in range(10)]
    assert [case.picture.stem for case in thin(cases, 4)] == ["0", "3", "6", "9"]
    assert thin(cases, None) == thin(cases, 20) == cases
    assert len(find_sets(world / "data", 2)["bright"]) == 2


def test_light_is_the_same_every_time(world: Path) -> None:
    case = Case(world / "rooms" / "r0.png", None)
    picture, truth = case.read()
    assert not truth.any()
    assert (case.under("dark", picture) == case.under("dark", picture)).all()
    assert case.under("as is", picture) is picture
    grey = np.full((40, 60, 3), 128, np.uint8)
    dark, bright = darken(grey, np.random.default_rng(0)), brighten(grey, np.random.default_rng(0))
    assert dark.mean() == pytest.approx(255 * (128 / 255) ** 1.3 * 0.3, abs=0.5)
    assert dark.std() == pytest.approx(6, abs=0.5)
    assert (bright == round(255 * (128 / 255) ** 0.8 * 1.5)).all()
    assert brighten(np.full((4, 4, 3), 255, np.uint8), np.random.default_rng(0)).min() == 255


def test_a_still_clip_differs_by_noise_alone() -> None:
    picture = np.full((60, 80, 3), 120, np.uint8)
    frames = list(still_clip(picture))
    assert len(frames) == measuring.FLICKER_FRAMES
    assert all(frame.std() == pytest.approx(measuring.FLICKER_NOISE, rel=0.1) for frame in frames)
    assert (frames[0] != frames[1]).mean() > 0.5
    assert all((one == other).all() for one, other in zip(frames, still_clip(picture), strict=True))


def test_a_table_is_drawn_again_from_its_figures(written: Path) -> None:
    results = Results.read(written / "results.json")
    assert json.loads((written / "results.json").read_text())["networks"][0]["name"] == "small"
    tables = (written / "table.md").read_text()
    assert all(grid.markdown() in tables for grid in report.grids(results))


def test_a_verdict_names_where_a_network_is_not_better() -> None:
    good = {"person_iou": 0.9, "boundary_f": 0.8, "mad": 0.02}

    def network(name: str, **changed: float) -> NetworkResult:
        return NetworkResult(name, "", "", 1, 1, sets={"street": {"as is": good | changed}})

    networks = [network("own", person_iou=0.95, mad=0.03), network("mediapipe_landscape")]
    results = Results("mediapipe_landscape", ["as is"], {"street": 1}, networks, ["own"])
    assert report.verdicts(results) == [
        "own beats mediapipe_landscape in 1 of 3 figures; not in street as is F, street as is MAD"
    ]


def test_the_worst_come_first_each_picture_once() -> None:
    measured = measuring.Measured()
    measured.cases["set"] = [Case(Path(f"{number}.png"), None) for number in range(3)]
    for condition, answers in (("as is", (4, 2, 4)), ("dark", (4, 2, 1))):
        for rows_found in answers:
            truth = torch.zeros(1, 1, 10, 10)
            truth[..., :5, :] = 1
            answer = truth.clone()
            answer[..., : 5 - rows_found, :] = 0
            assert measure(answer, truth)["person_iou"].item() == pytest.approx(rows_found / 5)
            measured.of("set", condition, "net").update_probability(answer, truth)
    places = report.worst_places(measured, ["as is", "dark"], "net")
    assert [(condition, number) for _, _, condition, number in places] == [("dark", 2), ("as is", 1), ("as is", 0)]


def test_timing_takes_turns(world: Path) -> None:
    networks = {"one": bright_teacher(world / "more"), "two": own_network(world / "small.onnx")}
    runners = {name: (network.session, network.feed_for_cost()) for name, network in networks.items()}
    timings = time_side_by_side(runners, "two", rounds=3)
    assert timings["two"].ratio == 1 and timings["one"].ms > 0
    assert time_side_by_side(runners, None, rounds=1)["one"].ratio is None


def test_transposed_convolutions_and_products_count() -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 9, opset_import: ["" : 17]>
        net (float[1,4,5,6] picture, float[4,2,3,3] weights, float[7,3] matrix)
            => (float[1,2,11,13] out, float[2,3] product) {
            out = ConvTranspose <strides=[2,2]> (picture, weights)
            two = Constant <value_floats=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0]> ()
            shape = Constant <value_ints=[2, 7]> ()
            left = Reshape (two, shape)
            product = MatMul (left, matrix)
        }"""
    )
    feed = {"picture": (1, 4, 5, 6), "weights": (4, 2, 3, 3), "matrix": (7, 3)}
    macs = count_macs(model, {name: np.zeros(sides, np.float32) for name, sides in feed.items()})
    assert macs == 4 * 5 * 6 * (2 * 3 * 3) + 2 * 3 * 7


def test_mistakes_are_named(world: Path, tmp_path: Path) -> None:
    def refusal(*arguments: object) -> str:
        with pytest.raises(CommandError) as error:
            step(evaluate, "--out", tmp_path, *arguments)
        return str(error.value)

    data = ("--data", world / "data")
    assert "Nothing to measure" in refusal(*data)
    assert "images/ and masks/" in refusal("--data", tmp_path, "--network", world / "small.onnx")
    assert "no pictures in" in refusal(*data, "--network", world / "small.onnx", "--rooms", tmp_path)
    assert "no folder" in refusal(*data, "--teachers-from", tmp_path / "none")
    assert "no network 'sinet'" in refusal(*data, "--teachers-from", world / "models", "--only", "sinet")
    assert "can't be opened" in refusal(*data, "--network", tmp_path / "none.onnx")
    assert "same name" in refusal(*data, "--network", world / "small.onnx", world / "small.onnx")
