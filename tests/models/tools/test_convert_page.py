# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/models.md, Converting: its commands are run, in their order, on files that are called as there."""

import re
import shlex
import shutil
import warnings
from pathlib import Path

import pytest
import torch

from background_filter.filters.cli import commands
from background_filter.models import networks, store
from background_filter.models.catalog import load_catalog
from background_filter.models.places import ROOT

PAGE = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## Converting\n")[2].partition("\n## ")[0]
TYPED = [shlex.split(line) for line in re.findall(r"^python3 obs_background_filter\.py (.+)$", SECTION, re.MULTILINE)]
IN_TENSORFLOW = "saved_model"  # test_convert_tensorflow.py runs that one


def test_its_commands_do_what_it_says(
    shared_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    mediapipe = shared_folder / "models" / "mediapipe" / "mp_selfie_landscape_144x256.tflite"
    shutil.copy(mediapipe, "selfie_segmentation_landscape.tflite")
    torch.save(networks.create("u2net_light").state_dict(), "u2netp.pth")
    shutil.copy(shared_folder / "models" / "sinet" / "sinet_224.pth", "SINet.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        small = torch.nn.Conv2d(3, 1, 3, padding=1).eval()
        torch.jit.trace(small, torch.zeros(1, 3, 144, 256)).save("network.torchscript")
    torch.save(networks.create("modnet").state_dict(), "modnet_photographic_portrait_matting.ckpt")
    torch.save(networks.create_any("rvm_mobilenetv3").state_dict(), "rvm_mobilenetv3.pth")
    assert len(TYPED) == 12
    for words in TYPED:
        if IN_TENSORFLOW in words:
            continue
        arguments = [words[0], "--here", *words[1:]] if words[1] == "convert" else [*words, "--trust"]
        assert commands.run(arguments) == 0, capsys.readouterr()
    written = {words[3] for words in TYPED if words[1] == "convert" and IN_TENSORFLOW not in words}
    assert len(written) == 7
    for name in written:
        assert Path(name).stat().st_size > 0
    for words in TYPED:
        if words[1] == "import":
            assert store.state_of(load_catalog()[words[4]]).vouched_by == "user"
