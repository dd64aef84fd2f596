# SPDX-License-Identifier: GPL-2.0-or-later
"""The settings folder of a scratch OBS: what global.ini, the profile and the scene collections must say."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROFILE = "harness"
LOSSLESS_X264 = {"rate_control": "CRF", "crf": 0, "preset": "ultrafast", "profile": "", "x264opts": "qp=0 keyint=30"}


@dataclass(frozen=True)
class Profile:
    """What a scratch OBS is set up for; canvas and output have the same size."""

    canvas_px: tuple[int, int]
    fps: int
    websocket_port: int
    recordings: Path
    collection: str = "harness"


def write_profile(config: Path, profile: Profile, collections: dict[str, dict[str, Any]]) -> None:
    """Write everything under ``config``/obs-studio; a scene collection that is already there is kept."""
    studio = config / "obs-studio"
    profile_folder = studio / "basic" / "profiles" / PROFILE
    scenes = studio / "basic" / "scenes"
    websocket = studio / "plugin_config" / "obs-websocket"
    for folder in (profile_folder, scenes, websocket, profile.recordings):
        folder.mkdir(parents=True, exist_ok=True)
    # OBS 31 and later turn global.ini into user.ini at their first start, and read only that from then on.
    if (studio / "user.ini").exists():
        _replace_port(studio / "user.ini", profile.websocket_port)
    else:
        (studio / "global.ini").write_text(_ini(_global_settings(profile)))
    (profile_folder / "basic.ini").write_text(_ini(_profile_settings(profile)))
    (profile_folder / "recordEncoder.json").write_text(json.dumps(LOSSLESS_X264))
    (websocket / "config.json").write_text(json.dumps(_websocket_settings(profile)))
    for name, collection in collections.items():
        path = scenes / f"{name}.json"
        if not path.exists():
            path.write_text(json.dumps(collection, indent=1))


def read_collection(config: Path, name: str) -> dict[str, Any]:
    """A scene collection as OBS last saved it."""
    text = (config / "obs-studio" / "basic" / "scenes" / f"{name}.json").read_text()
    collection: dict[str, Any] = json.loads(text)
    return collection


def _ini(sections: dict[str, dict[str, Any]]) -> str:
    lines: list[str] = []
    for section, values in sections.items():
        lines.append(f"[{section}]")
        for key, value in values.items():
            lines.append(f"{key}={str(value).lower() if isinstance(value, bool) else value}")
        lines.append("")
    return "\n".join(lines)


def _replace_port(path: Path, port: int) -> None:
    lines = path.read_text().splitlines()
    path.write_text("\n".join(f"ServerPort={port}" if each.startswith("ServerPort=") else each for each in lines))


def _global_settings(profile: Profile) -> dict[str, dict[str, Any]]:
    return {
        "General": {
            "FirstRun": True,
            "EnableAutoUpdates": False,
            "ConfirmOnExit": False,
            "InfoIncrement": 999,
            "LastVersion": 0x7FFFFFFF,
        },
        "Basic": {
            "Profile": PROFILE,
            "ProfileDir": PROFILE,
            "SceneCollection": profile.collection,
            "SceneCollectionFile": profile.collection,
            "ConfigOnNewProfile": False,
        },
        "BasicWindow": {"PreviewEnabled": True, "WarnBeforeStoppingRecord": False, "ShowSourceIcons": False},
        "Audio": {"DisableAudioDucking": True},
        "OBSWebSocket": {
            "FirstLoad": False,
            "ServerEnabled": True,
            "ServerPort": profile.websocket_port,
            "AlertsEnabled": False,
            "AuthRequired": False,
            "ServerPassword": "unused",
        },
    }


def _websocket_settings(profile: Profile) -> dict[str, Any]:
    return {
        "first_load": False,
        "server_enabled": True,
        "server_port": profile.websocket_port,
        "alerts_enabled": False,
        "auth_required": False,
        "server_password": "unused",
    }


def _profile_settings(profile: Profile) -> dict[str, dict[str, Any]]:
    width, height = profile.canvas_px
    return {
        "General": {"Name": PROFILE},
        "Video": {
            "BaseCX": width,
            "BaseCY": height,
            "OutputCX": width,
            "OutputCY": height,
            "FPSType": 1,
            "FPSInt": profile.fps,
            "ScaleType": "bilinear",
            # Full colour resolution, full range; 601 is the matrix that cv2 assumes when it reads a recording.
            "ColorFormat": "I444",
            "ColorSpace": "601",
            "ColorRange": "Full",
        },
        "Output": {"Mode": "Advanced", "FilenameFormatting": "%CCYY-%MM-%DD %hh-%mm-%ss"},
        # Not the FFmpeg output, which could record RGB: in OBS 29 its end races with its video thread, and one
        # recording in twenty ends in a crash of OBS (in avcodec_send_frame), another now and then in a leak.
        "AdvOut": {
            "RecType": "Standard",
            "RecFilePath": profile.recordings,
            "RecFormat": "mkv",
            "RecEncoder": "obs_x264",
            "RecTracks": 1,
        },
        "Audio": {"SampleRate": 48000, "ChannelSetup": "Stereo"},
    }
