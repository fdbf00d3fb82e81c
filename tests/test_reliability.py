"""docs/reliability.md: every case of videos and folders has one row, and its tests exist."""

import re

import pytest

from tests.names import ROOT, defined_tests

PAGE = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
SECTION = PAGE.split("## Videos and folders as people have them")[1].split("\n### ")[0]
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")] for line in SECTION.splitlines() if line.startswith("|")
][2:]


@pytest.mark.parametrize("row", ROWS, ids=[row[0][:40] for row in ROWS])
def test_every_case_has_a_result_and_tests_that_exist(row: list[str]) -> None:
    _, result, tests = row
    assert result
    named = re.findall(r"`(tests/[^`]+)`", tests)
    assert tests == ", ".join(f"`{name}`" for name in named)
    for path, _, function in (name.partition("::") for name in named):
        assert not function or function in defined_tests(path), function
        assert defined_tests(path)


def test_every_case_is_named_once() -> None:
    assert len(ROWS) >= 50
    cases = [row[0] for row in ROWS]
    assert sorted(set(cases)) == sorted(cases)
