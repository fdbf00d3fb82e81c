"""Files of resume states."""

import threading
from pathlib import Path

import pytest
import torch

from signrep_core.errors import CheckpointError, StorageError
from signrep_core.train.checkpoint import StateWriter, load_state, save_state
from tests.disk import largest_file


def test_state_is_restored_without_running_code(tmp_path: Path) -> None:
    save_state(tmp_path / "state.pt", {"step": 3, "best": None, "weights": {"w": torch.ones(2)}})
    found = load_state(tmp_path / "state.pt")  # weights_only
    assert (found["step"], found["best"], found["weights"]["w"].tolist()) == (3, None, [1, 1])
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


def test_a_broken_or_foreign_state_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    save_state(path, {"step": 3, "weights": torch.ones(1000)})
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(CheckpointError, match=r"cannot be read .*delete the folder"):
        load_state(path)
    torch.save({"step": 3}, path)
    with pytest.raises(
        CheckpointError, match=r"expected resume state of version 3, found None: another version of this program"
    ):
        load_state(path)


def test_an_unfinished_run_of_an_earlier_version_is_refused_and_a_finished_one_is_read(tmp_path: Path) -> None:
    torch.save({"version": 2, "step": 3, "finished": False}, tmp_path / "state.pt")
    with pytest.raises(CheckpointError, match=r"found 2: .*cannot continue it; delete the folder .* to start the run"):
        load_state(tmp_path / "state.pt")
    torch.save({"version": 2, "step": 9, "finished": True}, tmp_path / "state.pt")
    assert load_state(tmp_path / "state.pt")["finished"]


def test_a_failed_write_leaves_the_old_state(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    save_state(path, {"step": 3})
    with pytest.raises(AttributeError, match="local"):
        save_state(path, {"step": 4, "bad": lambda: None})
    assert load_state(path)["step"] == 3
    assert [p.name for p in tmp_path.iterdir()] == ["state.pt"]


def test_a_state_is_written_in_the_background_as_it_was_when_the_writing_began(tmp_path: Path) -> None:
    path, go, made_permanent = tmp_path / "state.pt", threading.Event(), []
    weights, moments, sums = torch.ones(3), {"exp_avg": torch.ones(2), "step": torch.tensor(4.0)}, {"loss": 1.0}

    def before() -> None:
        go.wait()
        made_permanent.append(path.exists())  # before the state, not after

    with StateWriter(path, before) as states:
        states.write(
            {"step": 4, "w": weights, "optimiser": {"state": {0: moments}, "betas": (0.9, 0.95)}, "sums": sums}
        )
        assert not path.exists()  # training goes on meanwhile
        weights.zero_()
        moments["exp_avg"].zero_()
        sums["loss"] = 9.0
        go.set()
    state = load_state(path)
    assert made_permanent == [False]
    assert (state["step"], state["w"].tolist(), state["sums"]) == (4, [1, 1, 1], {"loss": 1.0})
    assert state["optimiser"]["state"][0]["exp_avg"].tolist() == [1, 1]
    assert state["optimiser"]["betas"] == (0.9, 0.95)


def test_states_are_written_one_after_the_other_and_an_error_ends_the_training(tmp_path: Path) -> None:
    with StateWriter(tmp_path / "state.pt", lambda: None) as states:
        for step in range(5):
            states.write({"step": step, "w": torch.zeros(10_000)})
    assert load_state(tmp_path / "state.pt")["step"] == 4
    told = pytest.raises(StorageError, match=r"state\.pt: cannot be written .*run the same command again")
    with largest_file(100_000), told, StateWriter(tmp_path / "state.pt", lambda: None) as states:
        states.write({"step": 5, "w": torch.zeros(1_000_000)})
        states.write({"step": 6})
        pytest.fail("the first state's error is raised by the second")
    assert load_state(tmp_path / "state.pt")["step"] == 4


def test_an_error_of_the_training_is_not_hidden_by_one_of_its_state(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = pytest.raises(KeyError)
    with largest_file(100_000), own, StateWriter(tmp_path / "state.pt", lambda: None) as states:
        states.write({"w": torch.zeros(1_000_000)})
        raise KeyError
    assert "state.pt: cannot be written" in caplog.text


def test_a_full_disk_is_reported_and_the_old_state_stays(tmp_path: Path) -> None:
    save_state(tmp_path / "state.pt", {"step": 1})
    told = pytest.raises(StorageError, match=r"state\.pt: cannot be written .*run the same command again")
    with largest_file(100_000), told:
        save_state(tmp_path / "state.pt", {"step": 2, "weights": torch.zeros(1_000_000)})
    assert load_state(tmp_path / "state.pt")["step"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]
