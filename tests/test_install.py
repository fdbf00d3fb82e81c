"""The core as a GPU machine installs it: the wheel alone, in a fresh environment of Python 3.12 with NumPy 2.

`make test-install` runs this; it downloads PyTorch, so it is no part of `make test`.
"""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import distributions, version
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.install]

ROOT = Path(__file__).parents[1]
SETTINGS = """
pretrain:
  initial_weights: scratch
  preset: tiny
  splits: [train, val, test]
  iterations: 3
  warmup: 1
  batch_size: 4
  validate_every: 3
  workers: 0
"""
EXTRAS = ("mediapipe", "snakemake", "matplotlib", "flask", "pose-format", "transformers", "peft")


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command without this checkout on its path; its output."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def find_python() -> str:
    """Python 3.12 with venv; this one where there is none."""
    found = [shutil.which("python3.12"), *sorted(Path.home().glob(".pyenv/versions/3.12*/bin/python3.12"))]
    for python in filter(None, found):
        if subprocess.run([str(python), "-c", "import ensurepip, venv"], capture_output=True).returncode == 0:
            return str(python)
    return sys.executable


def build_wheel(folder: Path) -> Path:
    """The project's wheel, built from a copy: setuptools writes beside the sources."""
    source = folder / "source"
    shutil.copytree(ROOT / "signrep_core", source / "signrep_core", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, source, cwd=folder)
    (wheel,) = folder.glob("signrep-*.whl")
    return wheel


def link_cuda(packages: Path) -> None:
    """Link the CUDA libraries of this environment, gigabytes that are the same for every Python, so that pip has them.

    Hard links: whatever pip did to them would not touch this environment.
    """
    for found in distributions():
        if found.metadata["Name"].startswith(("nvidia-", "cuda-toolkit")):
            for file in found.files or ():
                target = packages / str(file)
                target.parent.mkdir(parents=True, exist_ok=True)
                if not target.exists():
                    os.link(Path(str(found.locate_file(file))).resolve(), target)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment that has the core alone."""
    folder = tmp_path_factory.mktemp("install")
    run(find_python(), "-m", "venv", folder / "fresh", cwd=folder)
    programs = folder / "fresh/bin"
    paths = run(programs / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder)
    if os.stat(folder).st_dev == os.stat(ROOT / ".venv").st_dev:
        link_cuda(Path(paths.strip()))
    pins = [pin for pin in (ROOT / "constraints.txt").read_text().splitlines() if not pin.startswith("numpy==")]
    (folder / "pins.txt").write_text("\n".join([*pins, "numpy>=2"]))
    wheel = build_wheel(folder)
    run(programs / "python", "-m", "pip", "install", "--quiet", "--constraint", folder / "pins.txt", wheel, cwd=folder)
    yield programs
    shutil.rmtree(folder / "fresh")  # gigabytes


def test_the_core_alone_is_installed(environment: Path, tmp_path: Path) -> None:
    listed = run(environment / "python", "-m", "pip", "list", cwd=tmp_path)
    installed = {name.lower(): number for name, number in re.findall(r"^(\S+) +(\d\S*)", listed, re.MULTILINE)}
    assert int(installed["numpy"].split(".")[0]) >= 2
    assert [name for name in EXTRAS if name in installed] == []
    assert installed["signrep"] == version("signrep")


def test_three_steps_are_trained_from_shards(environment: Path, finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "shards", tmp_path / "shards")
    (tmp_path / "small.yaml").write_text(SETTINGS)
    run(
        environment / "signrep", "pretrain", "--shards", "shards", "--out", "my_run", "--configfile", "small.yaml",
        cwd=tmp_path,
    )  # fmt: skip
    with open(tmp_path / "my_run/metrics.csv", newline="") as file:
        assert [row["step"] for row in csv.DictReader(file)][-1] == "3"
    load = "from signrep_core.model.signrep import SignRep; SignRep.load('my_run/best.safetensors')"
    run(environment / "python", "-c", load, cwd=tmp_path)


def test_the_benchmark_of_a_gpu_runs_with_the_core_alone(environment: Path, tmp_path: Path) -> None:
    output = run(environment / "signrep", "bench", "gpu", "--device", "cpu", "--tiny", "--out", "bench", cwd=tmp_path)
    assert "all parts passed" in output
    assert json.loads((tmp_path / "bench/gpu.json").read_text())["complete"] is True


def test_a_command_of_an_extra_says_what_to_install(environment: Path, tmp_path: Path) -> None:
    command = [environment / "signrep", "figures", "skeleton", "--out", "skeleton.png"]
    done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True)
    assert done.returncode == 2
    assert "it needs the extra [report]: pip install 'signrep[report]'" in done.stderr
