"""Packages that importing loads: never MediaPipe, OpenVINO, Snakemake, transformers; for arrays, pixels and tables no
PyTorch; for retrieval no model.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
IMPORT_ALL = """
import importlib, pkgutil, sys
for prefix in sys.argv[2].split(","):
    package = importlib.import_module(prefix)
    for module in pkgutil.walk_packages(getattr(package, "__path__", ()), prefix + "."):
        importlib.import_module(module.name)
loaded = [name for name in sys.argv[1].split(",") if name in sys.modules]
sys.exit(f"loaded: {loaded}" if loaded else 0)
"""


@pytest.mark.parametrize(
    ("rooms", "forbidden"),
    [
        (["signrep_core"], ["mediapipe", "openvino", "tflite", "snakemake", "transformers", "peft"]),
        ([f"signrep_core.{room}" for room in ("body", "video", "store", "sources")], ["torch", "mediapipe"]),
        (["signrep_core.evaluate.retrieval", "signrep_core.inspect.figures.strips"], ["timm", "signrep_core.model"]),
        (["signrep_core.lift.shard_tables", "signrep_core.inspect.report.card"], ["torch", "mediapipe"]),
    ],
    ids=["the whole core", "the rooms without PyTorch", "retrieval and its figure", "stages and the dataset card"],
)
@pytest.mark.slow
def test_importing_loads_no_heavy_package_that_is_not_asked_for(rooms, forbidden):
    command = [sys.executable, "-c", IMPORT_ALL, ",".join(forbidden), ",".join(rooms)]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
