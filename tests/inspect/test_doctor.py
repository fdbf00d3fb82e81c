"""Checks of this machine, and of one that lacks something."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from signrep_core.__main__ import main
from signrep_core.inspect import doctor


def test_this_machine_passes_every_required_check(tmp_path, capsys):
    assert main(["doctor", "--results", str(tmp_path / "not" / "yet")]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = {line[6:20].strip() for line in lines}
    assert names >= {"python", "torch", "mediapipe", "encoder", "decoders", "pose models", "lifter", "gpu", "disk"}
    assert not any(line.startswith("FAIL") for line in lines)


def test_a_missing_package_is_named_and_fails(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(doctor, "PACKAGES", ("no_such_package",))
    assert main(["doctor", "--results", str(tmp_path)]) == 2
    out = capsys.readouterr()
    assert "FAIL  no_such_package" in out.out
    assert "see no_such_package above" in out.err


def test_missing_decoders_are_named(monkeypatch):
    monkeypatch.setattr(doctor, "CODECS", {"H.264": "h264", "Theora 9": "no_such_decoder"})
    assert doctor._decoders() == doctor.Check(
        "note", "none for Theora 9", "such videos will be rejected; install av from a wheel"
    )


def test_weights_of_the_lifter_that_cannot_be_read_fail(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("signrep_core.lift.lifter.LIFTER_WEIGHTS", tmp_path / "gone.safetensors")
    assert main(["doctor", "--results", str(tmp_path)]) == 2
    assert "FAIL  lifter" in capsys.readouterr().out


def test_another_python_is_refused(monkeypatch):
    monkeypatch.setattr(doctor.sys, "version_info", (3, 13, 0))
    assert doctor._python().state == "fails"


@pytest.mark.parametrize(
    ("folder", "state", "said"),
    [
        ("/home/me/signrep", "ok", ""),
        ("/home/me/it's 50%#1", "note", "--conda-prefix"),
        ("/home/{me}/signrep", "fails", "braces as wildcards"),
        ("/home/a:b/signrep", "note", "colon"),
    ],
)
def test_a_path_that_an_engine_cannot_take_is_named(folder, state, said):
    check = doctor.check_place(Path(folder))
    assert (check.state, check.found) == (state, folder)
    assert said in check.remedy


def test_the_shared_memory_that_the_papers_trainings_need_is_stated(monkeypatch, tmp_path):
    """Recognition: eight processes read four batches ahead, each of 8 clips of 64 frames of 256 · 384 bytes."""
    for free, state in ((64e6, "note"), (2e9, "ok")):
        monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        check = doctor.check_shared_memory(tmp_path)
        assert (check.state, check.found) == (state, f"{free / 1e9:.1f} GB free, the paper's trainings need 1.6")
        assert ("--shm-size=3g" in check.remedy) == (state == "note")


@pytest.mark.parametrize("results", ["{x}", "<x>", "file", "file/below", "link"])
def test_results_that_cannot_be_written_fail(tmp_path, results):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    assert doctor._disk(tmp_path / results).state == "fails"


def test_a_folder_that_may_not_be_written_fails(monkeypatch):
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    assert doctor._disk(Path("/")).state == "fails"
