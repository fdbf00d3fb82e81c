"""Every command of the first pages runs, on the finished run of the real clips.

`make demo` and `make test` are left out: test_demo and this suite do their work. The options in
SMALLER shorten commands that would take minutes.
"""

import os
import re
import shlex
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.workflow.conftest import ROOT, SNAKEMAKE, Finished

SMALLER = {
    "signrep sheet folder": ["--out", "again.tsv"],  # the finished run keeps its sheet
    "snakemake --cores 2 --config": [
        "--nolock",
        "--configfile",
        "tests/workflow/small.yaml",
        "--until",
        "probe",
        "--config",
        "sheet=again.tsv",
        "results=results/again",
    ],
    "signrep plan": ["--measured", "results/mine"],
    "signrep synthesize": ["--signers", "1", "--glosses", "1", "--takes", "1", "--size", "64"],
    "signrep overlay": ["--seconds", "0.4"],
}
ELSEWHERE = (
    "make demo",
    "make test",
    "sheet SOURCE",
    "--forcerun",
    "--dry-run",
)  # the last three: test_main, test_plan
PAGES = ("README.md", "docs/how-to/own-videos.md", "docs/demo.md")


def readme_commands() -> list[str]:
    """The commands in blocks and in tables, without their remarks."""
    text = "\n".join((ROOT / page).read_text() for page in PAGES)
    blocks = [line for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    inline = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    inline = [code for code in inline if code.startswith(("signrep ", ".venv/bin/", "snakemake"))]
    commands = dict.fromkeys(command.split(" #")[0].strip() for command in (*blocks, *inline))
    return [command for command in commands if command and not any(part in command for part in ELSEWHERE)]


@pytest.fixture(scope="module")
def folder(clips_run: Finished, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as a new user has it: own videos in its folder, and the results of a run."""
    folder = tmp_path_factory.mktemp("newcomer")
    for path in ROOT.iterdir():
        if path.name not in ("results", ".snakemake", ".git"):
            (folder / path.name).symlink_to(path)
    (folder / "my_videos").symlink_to(clips)
    (folder / "my_video.mp4").symlink_to(clips / "asl_milk_B.mkv")
    (folder / "videos.tsv").write_bytes(clips_run.sheet.read_bytes())
    for name in ("a", "b"):
        (folder / f"{name}.tsv").write_text(f"video_id\tpath\n{name}\t{name}.mp4\n")
    (folder / "results").mkdir()
    (folder / "results/mine").symlink_to(clips_run.results)
    return folder


def to_run(command: str) -> list[str]:
    """The command's words, with this Python and this Snakemake, made smaller where it is long."""
    extra = [option for part, options in SMALLER.items() if part in command for option in options]
    words = shlex.split(command) + extra
    programs = {"signrep": [sys.executable, "-m", "signrep_core"], "snakemake": [SNAKEMAKE]}
    return [*programs[Path(words[0]).name], *words[1:]]


@pytest.mark.parametrize("command", [command for command in readme_commands() if " browse " not in command])
def test_the_command_runs(folder: Path, command):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        to_run(command), cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert done.stdout.strip()


def test_the_browser_s_command_serves_the_run(folder: Path):
    (command,) = [command for command in readme_commands() if " browse " in command]
    with subprocess.Popen(
        [*to_run(command), "--port", "8397"], cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True, stdout=subprocess.PIPE,
    ) as server:  # fmt: skip
        try:
            address = server.stdout.readline().split()[0]
            for _ in range(50):
                try:
                    assert "asl_milk_B" in urllib.request.urlopen(address, timeout=10).read().decode()
                    break
                except OSError:
                    time.sleep(0.2)
            else:
                pytest.fail(f"nothing answers at {address}")
        finally:
            server.terminate()
