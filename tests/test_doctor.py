"""The checks of a machine, on this one and on one that lacks something."""

from pathlib import Path

from signrep_core import doctor
from signrep_core.__main__ import main


def test_this_machine_runs_everything_that_every_run_needs(tmp_path, capsys):
    assert main(["doctor", "--results", str(tmp_path / "not" / "yet")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[1] for line in lines} >= {"python", "torch", "mediapipe", "encoder", "gpu", "disk"}
    assert not any(line.startswith("FAIL") for line in lines)


def test_what_is_missing_is_named_and_fails(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(doctor, "PACKAGES", ("no_such_package",))
    assert main(["doctor", "--results", str(tmp_path)]) == 2
    out = capsys.readouterr()
    assert "FAIL  no_such_package" in out.out
    assert "see no_such_package above" in out.err


def test_another_python_is_refused(monkeypatch):
    monkeypatch.setattr(doctor.sys, "version_info", (3, 13, 0))
    assert doctor._python().state == "fails"


def test_a_folder_that_may_not_be_written_fails(monkeypatch):
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    assert doctor._disk(Path("/")).state == "fails"
