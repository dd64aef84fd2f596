# SPDX-License-Identifier: GPL-2.0-or-later
"""pip's words turned into ours."""

import pytest

from background_filter.filters.environment.pip_output import current_step, explain_failure

OFFLINE = """WARNING: Retrying (Retry(total=1)) after connection broken by 'NewConnectionError(': Failed to establish
a new connection: [Errno -3] Temporary failure in name resolution')': /simple/numpy/
ERROR: Could not find a version that satisfies the requirement numpy==2.4.6 (from versions: none)
ERROR: No matching distribution found for numpy==2.4.6
"""


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("", "starting pip"),
        ("Collecting numpy==2.4.6 (from -r x)\n", "looking for numpy"),
        (
            "Collecting numpy\n  Downloading numpy-2.4.6-cp311-cp311-manylinux.whl (16.9 MB)\n",
            "downloading numpy (16.9 MB)",
        ),
        ("  Downloading a-1.0.whl.metadata (2 kB)\n", "starting pip"),
        (
            "Using cached opencv_python_headless-5.0-cp37.whl (57.1 MB)\n",
            "downloading opencv-python-headless (57.1 MB)",
        ),
        ("Installing collected packages: flatbuffers, numpy\n", "unpacking"),
    ],
)
def test_what_pip_does_now(output: str, expected: str) -> None:
    assert current_step(output) == expected


@pytest.mark.parametrize(
    ("output", "word"),
    [
        (OFFLINE, "network connection"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]", "certificate"),
        ("ERROR: No matching distribution found for onnxruntime==1.31.1", "onnxruntime==1.31.1"),
        ("ImportError: DLL load failed while importing onnxruntime_pybind11_state", "Visual C++"),
        ("all sorts\nERROR: the roof is on fire\n", "the roof is on fire"),
        ("", "no reason"),
    ],
)
def test_why_pip_failed(output: str, word: str) -> None:
    assert word in explain_failure(output)
