# SPDX-License-Identifier: GPL-2.0-or-later
"""Where models are looked for, on each system."""

import os
from pathlib import Path, PurePosixPath

import pytest

from background_filter.models.places import find_file, places
from background_filter.tests.models.product import GOOD, entry_of

HOME = Path("/home/user")
EXPECTED = {
    "linux": [
        "/product/models/weights",
        "/home/user/.config/obs-background-filter/models",
        "/home/user/.config/obs-studio/plugins/obs-background-filter/data/models",
        "/usr/share/obs/obs-plugins/obs-background-filter/models",
    ],
    "darwin": [
        "/product/models/weights",
        "/home/user/Library/Application Support/obs-background-filter/models",
        "/home/user/Library/Application Support/obs-studio/plugins/obs-background-filter/data/models",
        "/Library/Application Support/obs-background-filter/models",
    ],
    "win32": [
        "/product/models/weights",
        "C:/Users/user/AppData/Roaming/obs-background-filter/models",
        "C:/Users/user/AppData/Roaming/obs-studio/plugins/obs-background-filter/data/models",
        "D:/Programs/obs-studio/data/obs-plugins/obs-background-filter/models",
    ],
}
WINDOWS = {"APPDATA": "C:/Users/user/AppData/Roaming", "ProgramFiles": "D:/Programs"}


@pytest.mark.parametrize("platform", EXPECTED)
def test_the_folders_of_each_system(platform: str) -> None:
    environ = WINDOWS if platform == "win32" else {}
    found = places(Path("/product"), platform, environ, HOME)
    assert [str(PurePosixPath(place.path)) for place in found] == EXPECTED[platform]
    assert len({place.what for place in found}) == len(found)


def test_the_first_folder_that_has_the_file_wins(root: Path, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(config / "xdg"))
    entry = entry_of("more.onnx")
    assert find_file(entry, root) is None
    for place in reversed(places(root)[:3]):
        place.path.mkdir(parents=True, exist_ok=True)
        (place.path / "more.onnx").write_bytes(GOOD)
        assert find_file(entry, root) == place.path / "more.onnx"


@pytest.mark.skipif(os.name != "posix", reason="POSIX files")
def test_a_dangling_link_is_found_so_that_it_is_refused_and_not_passed_over(root: Path) -> None:
    link = root / "models" / "weights" / "more.onnx"
    link.symlink_to(root / "nowhere")
    assert find_file(entry_of("more.onnx"), root) == link
