"""The command line: what it writes, and how it fails."""

import argparse

import pytest
import yaml

from signrep_core.__main__ import _parser, main
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


def test_a_checkpoint_that_is_none_is_one_message(tmp_path, capsys):
    (tmp_path / "x.pth").write_text("no weights")
    assert main(["convert", str(tmp_path / "x.pth"), "--out", str(tmp_path / "x.safetensors")]) == 2
    assert "cannot be read as a PyTorch checkpoint" in capsys.readouterr().err


def test_config_prints_the_defaults(capsys):
    assert main(["config"]) == 0
    assert load_config(yaml.safe_load(capsys.readouterr().out)) == Config()


def _commands(parser, path=()):
    """Every command without sub-commands, with its parser."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for action in below:
        for name, sub in action.choices.items():
            yield from _commands(sub, (*path, name))
    if not below:
        yield path, parser


def test_every_command_shows_an_example():
    for path, parser in _commands(_parser()):
        assert (parser.epilog or "").startswith("example"), path
        assert f"python -m signrep_core {path[0]}" in parser.epilog, path


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["sheet"],
        ["sheet", "folder"],
        ["synthesize"],
        ["pretrain"],
        ["train", "recognition"],
        ["train", "translation"],
        ["convert"],
    ],
)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0
    assert "usage: python -m signrep_core" in capsys.readouterr().out
