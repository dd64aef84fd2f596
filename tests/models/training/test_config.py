# SPDX-License-Identifier: GPL-2.0-or-later
"""The TOML file of a run: what is wrong with it is said in words, and what comes out can be read again."""

from pathlib import Path

import pytest
import torch

from background_filter.filters.cli.errors import CommandError
from background_filter.models import networks
from background_filter.models.training.beginning import make_network, precision_for
from background_filter.models.training.config import TrainingConfig, read_config, to_toml
from background_filter.models.training.watch import BEST

ROOT = Path(__file__).resolve().parents[3]
WEIGHTS = ROOT / "models" / "weights"
CONFIGS = sorted((ROOT / "models" / "training" / "configs").glob("*.toml"))
SMALLEST = 'pack = "p"\nout = "o"\n[run]\nsteps = 3\n'


def read(tmp_path: Path, text: str, *changes: str) -> TrainingConfig:
    path = tmp_path / "run.toml"
    path.write_text(text, encoding="utf-8")
    return read_config(path, changes)


def complaint(tmp_path: Path, text: str, *changes: str) -> str:
    with pytest.raises(CommandError) as caught:
        read(tmp_path, text, *changes)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_configuration_makes_its_network(path: Path) -> None:
    config = read_config(path)
    # A size that it does not take would be refused. What it begins with comes from another run.
    make_network(config.network.model_copy(update={"init_from": None}))
    assert config.out.name == path.stem


def test_quality_begins_with_what_fast_gave() -> None:
    fast, quality = (read_config(path) for path in CONFIGS if path.stem in ("fast", "quality"))
    assert quality.network.init_from == fast.out / BEST
    # Of a network with other options the weights would be refused.
    make_network(quality.network.model_copy(update={"init_from": WEIGHTS / "person_fast_256x144.pt"}))


def test_every_architecture_has_a_configuration() -> None:
    assert {read_config(path).network.name for path in CONFIGS} == set(networks.NETWORKS)


@pytest.mark.parametrize("native", [False, True])
def test_a_processor_that_only_imitates_bfloat16_is_not_asked_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, native: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    run = read(tmp_path, SMALLEST, "run.accelerator=cpu").run
    assert precision_for(run) == ("bf16-mixed" if native else "32-true")
    assert precision_for(read(tmp_path, SMALLEST, "run.precision=16-mixed").run) == "16-mixed"


def test_a_misspelt_key_names_the_nearest(tmp_path: Path) -> None:
    said = complaint(tmp_path, SMALLEST + "[optimiser]\nlearning_rat = 1.0\n")
    assert said.endswith("Unknown key 'learning_rat' in [optimiser]: did you mean learning_rate?")


def test_mixed_frames_need_a_teacher(tmp_path: Path) -> None:
    said = complaint(tmp_path, SMALLEST + "[distill]\nmixed = 0.2\n")
    assert said.endswith("[distill]: mixed frames have no labels: name at least one of the teachers.")


def test_a_key_in_the_wrong_section_is_sent_to_its_own(tmp_path: Path) -> None:
    assert "Unknown key 'batch' in [network]: it belongs into [run]." in complaint(
        tmp_path, SMALLEST + "[network]\nbatch = 3\n"
    )


def test_a_key_like_no_other_gets_the_list(tmp_path: Path) -> None:
    assert "Unknown key 'zzz' in [temporal]: known are weight, shift_px, noise." in complaint(
        tmp_path, SMALLEST + "[temporal]\nzzz = 3\n"
    )


def test_a_misspelt_section_names_the_nearest(tmp_path: Path) -> None:
    assert "Unknown key 'optimizer': did you mean optimiser?" in complaint(tmp_path, SMALLEST + "[optimizer]\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('out = "o"\n[run]\nsteps = 1\n', "“pack” is missing."),
        ('pack = "p"\nout = "o"\n[run]\n', "[run]: give either steps or minutes, exactly one of them."),
        (SMALLEST + "minutes = 2\n", "[run]: give either steps or minutes, exactly one of them."),
        (SMALLEST + 'batch = "many"\n', "[run] batch: input should be a valid integer"),
        (SMALLEST + "batch = -1\n", "found -1."),
        (SMALLEST + "batch = 3\ndevices = 2\n", "batch must be a multiple of devices"),
        (SMALLEST + "[frames]\nempty = 0.7\ngrid = 0.6\n", "[frames]: the shares add up to 1.66, more than 1."),
        (SMALLEST + "[loss]\nboundary_cross_entropy = 0\ndice = 0\nabsolute = 0\n", "at least one loss"),
        (SMALLEST + "[frames.set_weights]\nmine = -1\n", "[frames.set_weights] mine: "),
        ("pack = \n", "no valid TOML"),
    ],
)
def test_what_is_wrong_is_said_in_words(tmp_path: Path, text: str, words: str) -> None:
    assert words in complaint(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"none\.toml can't be read"):
        read_config(tmp_path / "none.toml")


def test_changes_on_the_command_line(tmp_path: Path) -> None:
    changes = (
        "run.minutes=1.5",
        "pack=some/where",
        "optimiser.learning_rate=1e-3",
        'network.options={channels=[1,"a"]}',
    )
    config = read(tmp_path, SMALLEST, *changes)
    assert (config.run.steps, config.run.minutes) == (None, 1.5)
    assert (config.pack, config.optimiser.learning_rate) == (Path("some/where"), 1e-3)
    assert config.network.options == {"channels": [1, "a"]}
    assert "expected key=value" in complaint(tmp_path, SMALLEST, "run.steps")
    assert "“pack” is no section" in complaint(tmp_path, SMALLEST, "pack.steps=3")


def test_what_is_written_into_the_folder_says_the_same(tmp_path: Path) -> None:
    text = SMALLEST + (
        '[network]\nname = "unet_light"\noptions = { channels = [8, 16], deep = true }\ninit_from = "a \\"b\\" ü.pt"\n'
        "[frames.set_weights]\nmine = 2\n"
    )
    config = read(tmp_path, text)
    assert read(tmp_path, to_toml(config)) == config
