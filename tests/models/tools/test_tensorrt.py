# SPDX-License-Identifier: GPL-2.0-or-later
"""`models tensorrt` without an NVIDIA card: what is missing is said, and the engines' folder is safe.

A stand-in on PATH takes trtexec's place, to see that it gets the right words.
"""

from __future__ import annotations

import argparse
import os
import stat
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest

from background_filter.filters.cli.errors import CommandError
from background_filter.filters.cli.models_parser import run_tool
from background_filter.filters.engine import providers, tensorrt_cache
from background_filter.filters.environment import graphics
from background_filter.filters.environment.folders import ENGINE_OVERRIDE
from background_filter.models import trust
from background_filter.models.catalog import load_catalog
from background_filter.models.places import shipped_models_folder
from background_filter.models.tools import tensorrt
from background_filter.tests.models.product import posix_only
from background_filter.tests.models.tools.copies import install, typed_on_the_page

MODEL = "person_fast_256x144"
FILE = shipped_models_folder() / load_catalog()[MODEL].file
SHA256 = "5e" * 32
without_card = pytest.mark.skipif(graphics.driver_cuda_version() is not None, reason="an NVIDIA driver is here")
without_tensorrt = pytest.mark.skipif(
    tensorrt.PROVIDER in onnxruntime.get_available_providers(), reason="this ONNX Runtime knows TensorRT"
)


def build(*words: str) -> int:
    return run_tool("tensorrt", [*words], here=True)


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for what can be made again."""
    folder = tmp_path / "data"
    monkeypatch.setattr(tensorrt_cache, "data_folder", lambda: folder)
    return folder


@pytest.fixture
def driver_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a driver were here: what comes after that question is asked of the real libraries."""
    monkeypatch.setattr(graphics, "driver_cuda_version", lambda: (13, 0))
    monkeypatch.setattr(providers, "missing_nvidia_driver", lambda: None)


# What is missing


@without_card
def test_a_missing_driver_is_said(shared_folder: Path) -> None:
    """All that the first command of docs/models.md can do here."""
    typed = typed_on_the_page("tensorrt")[0]
    install(shared_folder, typed[0])
    with pytest.raises(CommandError, match="NVIDIA driver is not on this machine") as error:
        build(*typed)
    assert "Install the card's driver, type install-engine, then this again" in str(error.value)


@without_card
@pytest.mark.usefixtures("engine_environment")
def test_it_goes_on_in_the_engine_s_environment(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Which asks for the driver itself: here only this process was told that there is one."""
    monkeypatch.setattr(graphics, "driver_cuda_version", lambda: (13, 0))
    assert build(MODEL, "--fp16") == 1
    assert "error: TensorRT can't be used: the NVIDIA driver is not on this machine" in capfd.readouterr().err


@without_tensorrt
@pytest.mark.usefixtures("driver_said")
def test_without_an_engine_there_is_nothing_to_build_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENGINE_OVERRIDE, str(tmp_path / "none"))
    with pytest.raises(CommandError, match=r"engine is not installed\. Type install-engine"):
        build(MODEL)


@without_tensorrt
@pytest.mark.usefixtures("driver_said")
def test_an_onnx_runtime_without_tensorrt_is_said(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = argparse.Namespace(model=MODEL, fp16=True, trtexec=False, out=None)
    with pytest.raises(CommandError, match=r"ONNX Runtime \S+ was built without it\.\nType install-engine"):
        tensorrt.through_onnx_runtime(options)
    assert "takes minutes" in capsys.readouterr().out
    assert (data / "tensorrt" / trust.digest_file(FILE) / "fp16").is_dir()


def test_missing_libraries_are_named_with_the_line_that_installs_them() -> None:
    reason = f"a library it needs is missing ({providers.load_error('libnvinfer.so.10')})"
    if "nvinfer" not in reason:
        pytest.skip("TensorRT is installed here")
    said = tensorrt.what_is_missing(reason)
    assert "libraries are no part of the engine" in said
    assert said.split()[-1].startswith("tensorrt-cu") and said.endswith("==10.*")
    assert tensorrt.library_to_install("nvinfer_11.dll", (3, 12)) == "tensorrt-cu13==11.*"
    assert tensorrt.library_to_install("libnvonnxparser.so.10", (3, 10)) == "tensorrt-cu12"


def test_anything_else_points_to_the_log() -> None:
    assert "install.log" in tensorrt.what_is_missing("ONNX Runtime could not start it")


# The engines' folder


@posix_only
def test_engines_lie_apart_by_digest_and_closed_to_others(data: Path) -> None:
    options = tensorrt_cache.provider_options(SHA256)
    folder = Path(options["trt_engine_cache_path"])
    assert folder == data / "tensorrt" / SHA256 / "fp32"
    assert options["trt_engine_cache_enable"] == "True" and options["trt_fp16_enable"] == "False"
    places = [folder, *folder.parents][:3]
    assert [stat.S_IMODE(place.stat().st_mode) for place in places] == [0o700] * 3
    assert tensorrt_cache.provider_options("a" * 64)["trt_engine_cache_path"] != str(folder)


def test_the_last_word_on_the_precision_counts() -> None:
    tensorrt_cache.prepare(SHA256, in_half=True)
    half = tensorrt_cache.provider_options(SHA256)
    assert (Path(half["trt_engine_cache_path"]).name, half["trt_fp16_enable"]) == ("fp16", "True")
    tensorrt_cache.prepare(SHA256, in_half=False)
    assert tensorrt_cache.provider_options(SHA256)["trt_fp16_enable"] == "False"


def opened(folder: Path) -> None:
    folder.chmod(0o755)


def linked(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(folder.with_name("elsewhere"))


@posix_only
@pytest.mark.parametrize("attack", [opened, linked])
@pytest.mark.parametrize("level", [0, 1, 2], ids=["fp32", "model", "all"])
def test_a_folder_that_others_may_change_is_not_used(attack: Callable[[Path], None], level: int) -> None:
    folder = tensorrt_cache.prepare(SHA256, in_half=False)
    attack([folder, *folder.parents][level])
    assert tensorrt_cache.provider_options(SHA256) == {}
    with pytest.raises(tensorrt_cache.CacheError, match=r"open to other users|is a link"):
        tensorrt_cache.prepare(SHA256, in_half=False)


@posix_only
@pytest.mark.usefixtures("driver_said")
def test_the_command_says_which_folder_is_not_safe() -> None:
    folder = tensorrt_cache.prepare(trust.digest_file(FILE), in_half=False)
    folder.chmod(0o777)
    options = argparse.Namespace(model=MODEL, fp16=False, trtexec=False, out=None)
    with pytest.raises(CommandError, match=r"fp32 is open to other users\. Look at what is in it, delete it"):
        tensorrt.through_onnx_runtime(options)


def test_the_engine_gives_the_folder_to_onnx_runtime(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session itself takes a card: what it would be asked for is looked at instead."""
    asked = []
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, providers: asked.append(providers))
    providers.open_session(b"model", "tensorrt")
    name, options = asked[0][0]
    assert name == tensorrt.PROVIDER
    assert options["trt_engine_cache_path"] == str(data / "tensorrt" / trust.digest(b"model") / "fp32")
    assert "trt_engine_cache_path" not in asked[0][1][1] and asked[0][2] == "CPUExecutionProvider"


# trtexec


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a shell script with this body in trtexec's place; it writes its words, one a line, into the file given."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def put(body: str) -> Path:
        script, words = folder / "trtexec", tmp_path / "words"
        script.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{words}"\n{body}\n')
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        return words

    return put


# Keeps what it was given, as the engine.
BUILDS = 'cp "${1#--onnx=}" "${2#--saveEngine=}"; echo "[11/21/2026-10:00:00] [I] Throughput: 2000.5 qps"'


def test_a_missing_trtexec_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CommandError, match="no program trtexec on this machine") as error:
        build(MODEL, "--trtexec")
    assert "leave --trtexec away" in str(error.value)
    with pytest.raises(CommandError, match="--out belongs to --trtexec"):
        build(MODEL, "--out", "x.engine")


@posix_only
def test_trtexec_gets_the_verified_bytes(
    stand_in: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = stand_in(BUILDS)
    monkeypatch.chdir(tmp_path)
    assert build(MODEL, "--trtexec") == 0
    assert (tmp_path / f"{MODEL}.engine").read_bytes() == FILE.read_bytes()
    typed = words.read_text().splitlines()
    assert [word.split("=")[0] for word in typed] == ["--onnx", "--saveEngine"]
    assert not any(Path(word.split("=")[1]).exists() for word in typed), "left behind"
    said = capsys.readouterr().out
    assert "\nThroughput: 2000.5 qps\n" in said and f"{MODEL}.engine" in said


@posix_only
def test_the_page_s_command_for_trtexec(
    stand_in: Callable[[str], Path], tmp_path: Path, shared_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(BUILDS)
    monkeypatch.chdir(tmp_path)
    typed = typed_on_the_page("tensorrt")[1]
    source = install(shared_folder, typed[0])
    assert build(*typed) == 0
    assert Path(typed[-1]).read_bytes() == source.read_bytes()


@posix_only
def test_trtexec_is_told_the_sides_that_the_graph_leaves_open(
    stand_in: Callable[[str], Path], tmp_path: Path, shared_folder: Path
) -> None:
    words = stand_in(BUILDS)
    install(shared_folder, "rvm_mobilenetv3_tf")
    assert build("rvm_mobilenetv3_tf", "--trtexec", "--fp16", "--out", str(tmp_path / "rvm.engine")) == 0
    typed = dict(word.partition("=")[::2] for word in words.read_text().splitlines()[2:])
    assert list(typed) == ["--fp16", "--minShapes", "--optShapes", "--maxShapes"]
    assert "'r1i:0':1x1x1x1" in typed["--minShapes"] and "1x144x256x3" in typed["--minShapes"]
    assert "'r1i:0':1x72x128x16" in typed["--optShapes"] and typed["--optShapes"] == typed["--maxShapes"]


@posix_only
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("seq 1 40; echo 'no CUDA card' >&2; exit 3", "exit code 3. The end of what it said:\n27\n"),
        ("echo done", "wrote no engine. The end of what it said:\ndone"),
        ("exec nothing-such", "exit code 127"),
    ],
)
def test_when_trtexec_fails_its_last_words_are_shown(
    stand_in: Callable[[str], Path], tmp_path: Path, body: str, words: str
) -> None:
    stand_in(body)
    out = tmp_path / "x.engine"
    out.write_bytes(b"the one before")
    with pytest.raises(CommandError) as error:
        build(MODEL, "--trtexec", "--out", str(out))
    assert words in str(error.value)
    assert "exit 3" not in body or str(error.value).endswith("no CUDA card")
    assert out.read_bytes() == b"the one before"


@posix_only
def test_an_unverified_file_never_reaches_trtexec(
    stand_in: Callable[[str], Path], tmp_path: Path, shared_folder: Path
) -> None:
    words = stand_in(BUILDS)
    source = shared_folder / "models" / "extremec3" / "extremec3_224.onnx"
    with pytest.raises(CommandError, match="is unknown, so it was not loaded"):
        build(str(source), "--trtexec", "--out", str(tmp_path / "x.engine"))
    assert not words.exists()
