"""The command line: its output and its errors."""

import shlex

import pytest
import yaml

from signrep_core.__main__ import _parser, main, walk
from signrep_core.config import Config, load_config


def test_sheet_folder_lists_the_videos(tmp_path, capsys):
    (tmp_path / "sub folder").mkdir()
    for name in ("a.mp4", "sub folder/ü b.MKV", "notes.txt"):
        (tmp_path / name).touch()
    assert main(["sheet", "folder", str(tmp_path), "--out", str(tmp_path / "videos.tsv")]) == 0
    lines = (tmp_path / "videos.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in lines] == ["video_id", "a", "sub folder/ü b"]
    assert "2 videos" in capsys.readouterr().out


def test_an_error_is_one_message_and_status_2(tmp_path, capsys):
    assert main(["sheet", "folder", str(tmp_path), "--out", str(tmp_path / "videos.tsv")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("signrep: ")
    assert "Traceback" not in error
    assert not (tmp_path / "videos.tsv").exists()


def test_a_file_that_is_no_checkpoint_is_one_message(tmp_path, capsys):
    (tmp_path / "x.pth").write_text("no weights")
    assert main(["convert", str(tmp_path / "x.pth"), "--out", str(tmp_path / "x.safetensors")]) == 2
    assert "cannot be read as a PyTorch checkpoint" in capsys.readouterr().err


def test_config_prints_the_defaults(capsys):
    assert main(["config"]) == 0
    assert load_config(yaml.safe_load(capsys.readouterr().out)) == Config()


@pytest.mark.parametrize(
    "command", [list(words) for words, _ in walk(_parser())], ids=lambda words: " ".join(words) or "alone"
)
def test_every_command_s_help_ends_with_examples_that_can_be_copied(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: signrep")
    examples = [line.split(": ")[-1].strip() for line in shown[shown.index("\nexample") :].splitlines()]
    examples = [example for example in examples if example and example != "examples:"]
    assert examples
    for example in examples:
        words = shlex.split(example.removeprefix("signrep ").split(" > ")[0])
        assert words[: len(command)] == command
        if "--help" not in words:
            _parser().parse_args(words)


def test_a_typed_id_is_found_as_macos_completes_it(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr("signrep_core.inspect.overlay.write_overlay", lambda *arguments: seen.append(arguments[1]) or 1)
    assert main(["overlay", "a\u0308", "--results", str(tmp_path), "--out", "o.mp4"]) == 0
    export = _parser().parse_args(["export", "pose", "a\u0308", "--results", "r", "--out", "a.pose"])
    assert [*seen, export.video_id] == ["ä", "ä"]


def test_home_is_expanded_in_arguments_where_shells_leave_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["doctor", "--results=~/none"]) == 0
    assert f"free for {tmp_path}/none" in capsys.readouterr().out
