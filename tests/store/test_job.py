"""Jobs and the records of their outputs."""

from pathlib import Path

import pytest

from signrep_core.errors import RecordError, TrainingError
from signrep_core.inspect.verify.corpus import verify
from signrep_core.store.job import open_job
from signrep_core.store.layout import find_results
from signrep_core.store.records import SNAKEFILE, read_record, record_path

COMMAND = "signrep pretrain --out results/pretrain/mine"


@pytest.fixture
def outputs(tmp_path: Path) -> list[Path]:
    return [tmp_path / "results/pretrain/mine" / name for name in ("best.safetensors", "metrics.csv")]


def write(outputs: list[Path], text: str) -> None:
    for output in outputs:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text)


def test_the_results_folder_is_found_by_the_path_of_an_output(tmp_path: Path) -> None:
    assert find_results(tmp_path / "a/features/mine/wlasl.parquet") == tmp_path / "a"
    assert find_results(tmp_path / "recognition/mine/wlasl/best.safetensors") == tmp_path
    assert find_results(tmp_path / "features.parquet") is None


def test_outputs_of_a_command_are_recorded_with_the_command(tmp_path: Path, outputs: list[Path]) -> None:
    index = tmp_path / "results/shards/index.parquet"
    write([index], "rows")
    with open_job(outputs, {"index": [index], "info": [tmp_path / "none"]}, command=COMMAND) as job:
        assert job.provenance["rule"] == "pretrain"
        begun = read_record(outputs[0])
        assert begun is not None
        assert not begun.finished
        write(outputs, "step,loss\n1,2\n")
    for output in outputs:
        record = read_record(output)
        assert record is not None
        assert record.finished
        assert (record.rule, record.wildcards, record.command) == ("pretrain", {"run": "mine"}, COMMAND)
        assert [path for path, _ in record.inputs["index"]] == ["shards/index.parquet"]
        assert record.inputs["info"] == []
    files = {problem.file for problem in verify(tmp_path / "results").problems if problem.what == "not recorded"}
    assert files == {"shards/index.parquet"}  # which no command of ours made


def test_a_rule_records_the_snakemake_call_that_makes_its_output_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = [tmp_path / "results/overlap.tsv"]
    for folder, snakefile in ((SNAKEFILE.parent, ""), (tmp_path, f" --snakefile {SNAKEFILE}")):
        monkeypatch.chdir(folder)
        with open_job(outputs, {}):
            write(outputs, "overlaps")
        record = read_record(outputs[0])
        assert record is not None
        command = record.command
        assert command.startswith(f"snakemake{snakefile} --cores ")
        assert f"--force {outputs[0]} --config results=" in command
    assert SNAKEFILE.is_file()


def test_a_command_that_is_refused_leaves_the_records_as_they_were(outputs: list[Path]) -> None:
    with open_job(outputs[:1], {}, command=COMMAND):
        write(outputs[:1], "weights")
    before = record_path(outputs[0]).read_bytes()
    with pytest.raises(TrainingError), open_job(outputs, {}, command="another"):
        raise TrainingError("other settings")
    assert record_path(outputs[0]).read_bytes() == before
    assert not record_path(outputs[1]).exists()


def test_outside_of_a_results_folder_and_in_other_processes_nothing_is_recorded(
    tmp_path: Path, outputs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_job([tmp_path / "features.parquet"], {}, command=COMMAND) as job:
        assert job.provenance == {}
    monkeypatch.setenv("RANK", "1")
    with open_job(outputs, {}, command=COMMAND) as job:
        assert job.provenance == {}
    assert not list(tmp_path.rglob("*.json"))


def test_an_output_that_is_missing_at_the_end_is_an_error(outputs: list[Path]) -> None:
    with pytest.raises(RecordError, match=r"pretrain ended without writing .*metrics\.csv"), open_job(outputs, {}):
        write(outputs[:1], "weights")
    record = read_record(outputs[0])
    assert record is not None
    assert not record.finished


@pytest.mark.parametrize("error", [TrainingError, OSError, SystemExit])
def test_a_rule_that_fails_stays_recorded_as_begun(outputs: list[Path], error: type[BaseException]) -> None:
    with pytest.raises(error), open_job(outputs, {}):
        raise error
    record = read_record(outputs[0])
    assert record is not None
    assert not record.finished


def test_files_besides_the_outputs_are_recorded_too(tmp_path: Path, outputs: list[Path]) -> None:
    extra = tmp_path / "results/pretrain/mine/extra.bin"
    with open_job(outputs, {}) as job:
        write([*outputs, extra], "bytes")
        job.also_made([extra])
    record = read_record(extra)
    assert record is not None
    assert (record.file, record.finished) == ("pretrain/mine/extra.bin", True)
