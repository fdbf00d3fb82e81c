"""Removal of broken files, which the workflow then makes again."""

import json
import shutil
from pathlib import Path

import pytest

from signrep_core.__main__ import main
from signrep_core.inspect.verify.corpus import verify
from signrep_core.store.records import record_path
from tests.finished import FILES
from tests.inspect.verify.test_files import flip
from tests.workflow.conftest import snakemake


def test_verify_says_what_is_broken_and_exits_with_1(scratch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(scratch)]) == 0
    assert f"{FILES} files in 2 shards" in (said := capsys.readouterr().out)
    assert "no problems" in said
    flip(scratch / "bones/00001.json", 40)
    assert main(["verify", str(scratch)]) == 1
    said = capsys.readouterr().out
    assert f"{scratch}/bones/00001.json: changed since it was written" in said
    assert "rule solve_angles" in said
    assert "--repair" in said
    assert main(["verify", str(scratch), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [problem["file"] for problem in found["problems"]] == ["bones/00001.json"]


def test_many_equal_problems_are_shortened(scratch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in scratch.rglob(".records/*.json"):
        path.unlink()
    assert main(["verify", str(scratch)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert len(said) < 30
    assert f"... and {FILES - 5} more: not recorded (--json lists all)" in said


@pytest.mark.parametrize("run", ["pretrain/mine", "recognition/mine/made", "translation/mine/made"])
def test_repair_keeps_weights_that_somebody_trained_by_hand(scratch: Path, run: str) -> None:
    by_hand = scratch / run / "best.safetensors"
    by_hand.parent.mkdir(parents=True)
    shutil.copy(scratch / "pretrain/test/best.safetensors", by_hand)
    assert main(["verify", str(scratch), "--repair"]) == 1
    assert by_hand.is_file()


@pytest.mark.slow
def test_repair_removes_only_the_broken_file_and_the_workflow_makes_it_again(scratch: Path) -> None:
    before = {path: path.read_bytes() for path in scratch.rglob("*") if path.is_file()}
    broken = scratch / "distances/00001.parquet"
    flip(broken, 2000)
    assert main(["verify", str(scratch), "--repair"]) == 1
    gone = {path for path in before if not path.exists()}
    assert gone == {broken, record_path(broken)}
    config = ["--config", f"sheet={_sheet(scratch)}", f"results={scratch}", "videos_per_shard=3"]
    done = snakemake("--until", "distance_priors", *config)  # the fixture stops before recognition
    assert done.returncode == 0, done.stdout
    assert "distance_priors" in done.stdout
    assert "1 job in 1 stage done" in done.stdout
    assert verify(scratch).problems == []
    for path, content in before.items():
        if path not in gone and "/logs/" not in str(path) and "/benchmarks/" not in str(path):
            assert path.read_bytes() == content, path


def _sheet(scratch: Path) -> Path:
    record = json.loads(record_path(scratch / "pose/00000.parquet").read_text())
    return Path(record["config"]["sheet"])
