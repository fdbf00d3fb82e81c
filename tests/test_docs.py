"""The documentation is true: its commands parse, its links lead somewhere, its examples run."""

import argparse
import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from signrep_core.__main__ import _parser
from signrep_core.model.signrep import PRESETS, SignRep

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
HOW_TO = ROOT / "docs/how-to"


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language, without the page's indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", page.read_text(), re.MULTILINE | re.DOTALL)
    return ["\n".join(line.removeprefix(indent) for line in body.splitlines()) for indent, body in found]


def commands(page: Path) -> list[str]:
    """Every `signrep ...` that a page names, in blocks and in the text."""
    shown = re.findall(r"`[^`\n]*(?:\n[^`\n]*)?`", page.read_text().replace("\\\n", " "))
    shown += [line for block in blocks(page, "bash") for line in block.replace("\\\n", " ").splitlines()]
    pieces = (" ".join(piece.strip("`").split()) for piece in shown)
    found = (re.search(r"(?:^|[/ ])signrep (.+?)(?: #.*)?$", piece) for piece in pieces)
    return [match[1].split(" > ")[0] for match in found if match]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_is_one(page, monkeypatch):
    def refuse(self, message):
        raise AssertionError(f"{page.name}: {message}")

    monkeypatch.setattr(argparse.ArgumentParser, "error", refuse)
    for command in commands(page):
        words = shlex.split(command)
        if "SOURCE" in words or len(words) == 1 or command.endswith(("…", "...")):
            assert words[0] in {name for action in _parser()._actions for name in action.choices or ()}, command
        else:
            _parser().parse_args(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_picture_is_shown_and_described():
    shown = [
        ((page.parent / target).resolve(), words)
        for page in PAGES
        for words, target in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", page.read_text())
    ]
    assert {path for path, _ in shown} == set((ROOT / "docs/images").iterdir())
    assert [path.name for path, words in shown if len(words.split()) < 5] == []


def run_python(code: str, folder: Path) -> str:
    """Run an example in a folder by a fresh interpreter; its output."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder / "hf")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def run_here(code: str, folder: Path) -> str:
    """The same in this process, which has PyTorch loaded."""
    printed = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
        exec(code, {})
    return printed.getvalue()


@pytest.mark.slow
def test_the_examples_of_reading_tables_run(finished, tmp_path):
    (tmp_path / "results").symlink_to(finished)
    pandas, duckdb, ours, frames = blocks(HOW_TO / "read-the-tables.md", "python")
    assert "rejected" in run_here(pandas, tmp_path)
    assert "right_share" in run_here(duckdb, tmp_path)
    assert "(32, 22)" in run_here(ours, tmp_path)
    assert "(16, 256, 256, 3) (16, 61, 3)" in run_here(frames, tmp_path)


def test_the_exported_folder_loads_as_the_page_says(finished, tmp_path):
    from signrep_core.interop.hugging_face import export_tables

    export_tables(finished, tmp_path / "dataset", ["pose"])
    (code,) = blocks(HOW_TO / "other-formats.md", "python")
    expected = sum(pq.read_metadata(path).num_rows for path in (finished / "pose").glob("*.parquet"))
    assert run_python(code + "\nprint(pose.num_rows)", tmp_path).split()[-1] == str(expected)


@pytest.mark.slow
def test_weights_load_as_the_page_says(tmp_path):
    torch.manual_seed(0)
    SignRep(PRESETS["tiny"]).save(tmp_path / "signrep.safetensors")
    (code,) = blocks(HOW_TO / "released-weights.md", "python")
    small = code.replace("224, 224", "64, 64")  # what the tiny preset sees
    assert "torch.Size([1, 2])" in run_here(small, tmp_path)


@pytest.mark.slow
def test_the_example_of_the_first_page_runs(clips, tmp_path):
    weights = tmp_path / "results/mine/pretrain/demo/best.safetensors"
    weights.parent.mkdir(parents=True)
    torch.manual_seed(0)
    SignRep(PRESETS["tiny"]).save(weights)
    (tmp_path / "my_video.mp4").symlink_to(clips / "asl_milk_B.mkv")
    (code,) = blocks(ROOT / "README.md", "python")
    windows, video = run_here(code, tmp_path).strip().splitlines()
    found = re.fullmatch(r"\((\d+), (\d+)\) \((\d+), 2\)", windows)
    assert found, windows
    assert found[1] == found[3]
    assert video == f"({found[2]},)"
