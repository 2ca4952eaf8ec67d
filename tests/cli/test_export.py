"""`kammil export`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import Result, Run, refused


def test_export_writes_a_model_and_a_program(run: Run, network: Path, counter: Path) -> None:
    assert run("export", network, "--format", "onnx") == Result(0, "network.onnx\nnetwork.py\n", "")
    done = subprocess.run([sys.executable, "network.py", "شو "], capture_output=True, check=True)
    assert done.stdout.decode() == "شو " + run("complete", "شو ", "--model", network, "--temperature", "0").out
    refused(run("export", network, "--format", "onnx"), "network.onnx exists already; give --replace")
    refused(run("export", network, "--format", "pdf"), "format is 'pdf', but it must be one of onnx, hf")
    refused(run("export", network, "--format", "onnx", "--part", "network", "--replace"), "only a blend has parts")
    refused(run("export", counter, "--format", "onnx"), "train one with --model gru")


def test_the_network_of_a_blend_is_exported_with_a_warning(run: Run, folder_of: Callable[[str], Path]) -> None:
    refused(run("export", folder_of("blend"), "--format", "onnx"), "export its network alone with --part network")
    result = run("export", folder_of("blend"), "--format", "onnx", "--part", "network", "--out", "net.onnx")
    assert (result.code, result.out) == (0, "net.onnx\nnet.py\n")
    assert result.err.startswith("kammil: the counts of the blend are not in the file") and result.err.count("\n") == 1
