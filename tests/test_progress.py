"""Progress: its lines, and how often they come."""

import logging

import pytest

from signrep_core.progress import Progress


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_the_last_line_says_what_was_done_and_how_fast(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with Progress("extract_pose 00003", 200, terminal=False) as progress:
        progress.advance(150, note="2/4 videos")
        progress.advance(50, note="4/4 videos")
    (line,) = lines(caplog)
    assert line.startswith("extract_pose 00003: 200 of 200 (100%) frames, ")
    assert "frames/s, 4/4 videos; done in 0:00" in line


def test_lines_between_come_at_most_once_an_interval(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    clock = iter(range(1000))
    monkeypatch.setattr("signrep_core.progress.time.monotonic", lambda: float(next(clock)) / 2)
    with Progress("stage 00000", 60, terminal=False, interval_s=10) as progress:
        for _ in range(60):
            progress.advance()
    seconds = next(clock) / 2
    assert 2 <= len(lines(caplog)) - 1 <= seconds / 10


def test_a_line_shows_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("signrep_core.progress.time.monotonic", lambda: now[0])
    with Progress("stage 00000", 7200, terminal=False) as progress:
        now[0] = 100.0
        progress.advance(100)  # 1 frame/s, 7100 left
        assert progress.line() == "stage 00000: 100 of 7200 (1%) frames, 1.0 frames/s, 1:58:20 left"


def test_an_estimate_can_be_corrected() -> None:
    with Progress("stage 00000", 100, terminal=False) as progress:
        progress.advance(80)
        progress.expect(-20)
        assert progress.line().startswith("stage 00000: 80 of 80 (100%) frames")


def test_a_failure_is_logged_as_stopped(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(KeyError), Progress("stage 00000", 10, terminal=False):
        raise KeyError("x")
    assert "stopped after 0:00" in lines(caplog)[0]


def test_a_bar_is_shown_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("stage 00000", 10, terminal=True) as progress:
        progress.advance(5, note="one of two")
    shown = capsys.readouterr().err
    assert "stage 00000" in shown
    assert "one of two" in shown
