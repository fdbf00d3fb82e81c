"""Worker processes: order, messages, errors."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from signrep_core.errors import SignRepError
from signrep_core.workers import Died, Send, Work, run_tasks

WORKER = ("tests.test_workers:prepare", "hello")


def prepare(send: Send, greeting: str) -> Work:
    """The work of these tests: the task says what happens."""

    def work(task: dict[str, Any]) -> str:
        if task["name"] == "full disk":
            raise SignRepError("no space left")
        if task["name"] == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if task["name"] == "fails":
            raise RuntimeError
        if task["name"] == "prints":
            print("chatter")
        send({"frames": 2})
        return f"{greeting} {task['name']}"

    return work


def do(*names: str, **options: Any) -> list[Any]:
    return list(run_tasks(WORKER, [{"name": name} for name in names], threads=2, **options))


def test_results_come_in_the_order_of_the_tasks_whatever_the_order_of_work() -> None:
    assert do("a", "prints", "c", order=[2, 0, 1]) == ["hello a", "hello prints", "hello c"]
    assert do() == []


def test_frames_are_counted_by_task() -> None:
    counted = [0, 0, 0]

    def count(number: int, frames: int) -> None:
        counted[number] += frames

    do("a", "b", "c", on_frames=count)
    assert counted == [2, 2, 2]


def test_a_task_that_kills_its_process_fails_alone() -> None:
    assert do("a", "dies", "fails", "d") == ["hello a", Died("died of SIGKILL"), Died("ended with code 1"), "hello d"]


def test_an_error_that_is_not_of_the_task_is_raised() -> None:
    with pytest.raises(SignRepError, match="no space left"):
        do("a", "full disk")


def test_a_worker_that_cannot_be_imported_is_named() -> None:
    with pytest.raises(SignRepError, match=r"worker process no_such_module:prepare ended with code 1 before its first"):
        list(run_tasks(("no_such_module:prepare",), [{}], threads=1))


def test_a_child_imports_from_the_parents_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "module_of_the_parent.py").write_text("def prepare(send):\n    return lambda task: task['x'] + 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert list(run_tasks(("module_of_the_parent:prepare",), [{"x": 1}], threads=1)) == [2]
