# SPDX-License-Identifier: GPL-2.0-or-later
"""Which requirements a machine gets."""

import pytest

from background_filter.filters.environment.graphics import (
    FOR_NVIDIA,
    FOR_PROCESSOR,
    choose_requirements,
    driver_cuda_version,
)


@pytest.mark.parametrize(
    ("cuda", "python", "system", "machine", "expected", "word"),
    [
        (None, (3, 11), "linux", "x86_64", FOR_PROCESSOR, "no NVIDIA driver"),
        ((13, 0), (3, 11), "linux", "x86_64", FOR_NVIDIA, "CUDA 13.0"),
        ((14, 2), (3, 14), "win32", "AMD64", FOR_NVIDIA, "graphics card"),
        ((12, 8), (3, 12), "linux", "x86_64", FOR_PROCESSOR, "too old"),
        ((12, 8), (3, 10), "linux", "x86_64", FOR_NVIDIA, "CUDA 12.8"),
        ((13, 0), (3, 12), "linux", "aarch64", FOR_PROCESSOR, "not supported"),
        ((13, 0), (3, 12), "darwin", "x86_64", FOR_PROCESSOR, "not supported"),
    ],
)
def test_the_choice(cuda, python, system, machine, expected, word) -> None:
    requirements, why = choose_requirements(cuda, python, system, machine)
    assert requirements == expected
    assert word in why


def test_both_files_are_there_and_name_a_runtime() -> None:
    assert "onnxruntime==" in FOR_PROCESSOR.read_text()
    assert "onnxruntime-gpu[" in FOR_NVIDIA.read_text()


def test_asking_the_driver_never_fails() -> None:
    found = driver_cuda_version()
    assert found is None or found > (8, 0)
