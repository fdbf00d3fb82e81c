"""`signrep bench`: the table, the JSON file and the exit status."""

import json

import pytest
import torch

from signrep_core.__main__ import main
from signrep_core.bench.figures import Figure
from signrep_core.commands.bench import print_parts


@pytest.mark.parametrize(("value", "status"), [(1.0, 0), (3.0, 1)])
def test_the_exit_status_says_whether_all_thresholds_were_met(value, status, tmp_path, capsys):
    parts = {"a": lambda: [Figure("error", value, at_most=2.0)]}
    assert print_parts(tmp_path / "a.json", parts, {}) == status
    assert f"| a | error | {value:.4g} | ≤ 2 | {('passed', 'FAILED')[status]} |" in capsys.readouterr().out


def test_without_a_gpu_the_command_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["bench", "gpu", "--out", str(tmp_path)]) == 2
    assert "finds no CUDA GPU" in capsys.readouterr().err


@pytest.mark.slow
def test_the_benchmark_of_a_gpu_runs_on_a_cpu_with_a_tiny_model(tmp_path, capsys):
    assert main(["bench", "gpu", "--device", "cpu", "--tiny", "--out", str(tmp_path)]) == 0
    written = json.loads((tmp_path / "gpu.json").read_text())
    assert written["complete"] is True
    assert list(written["parts"]) == ["shards", "agreement", "step", "training", "inference", "pose"]
    assert "all parts passed" in capsys.readouterr().out


def test_the_lifter_is_measured_on_real_and_synthetic_motion(tmp_path, capsys, monkeypatch) -> None:
    from signrep_core.bench import lifting, real_motion

    monkeypatch.setattr(real_motion, "WINDOWS", 2)
    monkeypatch.setattr(real_motion, "FRAMES", 8)
    monkeypatch.setattr(lifting, "PEOPLE", (1, 991))
    status = main(["bench", "lifting", "--out", str(tmp_path)])
    parts = json.loads((tmp_path / "lifting.json").read_text())["parts"]
    assert len(parts) == 8
    assert not any(part["error"] for part in parts.values())
    assert status == int(not all(part["passed"] for part in parts.values()))
    assert "| real hands | thumb, correlation |" in capsys.readouterr().out
