"""Figures of a benchmark: thresholds, the JSON file after each part, the table."""

import json
import math

import pytest

from signrep_core.bench.figures import Figure, format_part, measure_parts


@pytest.mark.parametrize(
    ("figure", "passed"),
    [
        (Figure("rate", 3.0), True),
        (Figure("rate", 3.0, at_least=3.0), True),
        (Figure("rate", 2.9, at_least=3.0), False),
        (Figure("error", 2e-5, at_most=1e-5), False),
        (Figure("share", 50, at_least=40, at_most=60), True),
        (Figure("error", math.nan, at_most=1.0), False),
        (Figure("loss", math.inf), False),
    ],
)
def test_a_figure_passes_if_it_is_finite_and_within_its_thresholds(figure, passed):
    assert figure.passed is passed


def test_the_file_is_written_after_each_part_and_a_failed_part_stops_no_other(tmp_path):
    path, seen = tmp_path / "out/speed.json", []

    def first():
        yield Figure("rate", 5.0, "clips/s", at_least=2.0)
        raise RuntimeError("out of\n memory")

    def second():
        seen.append(json.loads(path.read_text()))
        yield Figure("error", math.nan, at_most=1.0)

    parts = list(measure_parts(path, {"first": first, "second": second}, {"windows": 4}))
    assert [(part.name, part.passed) for part in parts] == [("first", False), ("second", False)]
    assert (seen[0]["complete"], list(seen[0]["parts"])) == (False, ["first"])
    written = json.loads(path.read_text())
    assert written["complete"] is True
    assert written["settings"] == {"windows": 4}
    assert {"processor", "cores", "torch", "gpus"} <= set(written["measured_on"])
    assert written["parts"]["first"]["error"] == "RuntimeError: out of memory"
    assert written["parts"]["first"]["figures"][0]["value"] == 5.0
    assert written["parts"]["second"]["figures"][0]["value"] is None


def test_the_table_has_a_line_per_figure_and_one_for_the_error(tmp_path):
    def measure():
        yield Figure("rate", 5.25, "clips/s", at_least=2.0, note="median of 3")
        yield Figure("plain", 1.0)
        yield Figure("error", 1.0, at_most=0.5)
        raise ValueError("no kernel")

    (part,) = measure_parts(tmp_path / "a.json", {"step": measure}, {})
    assert list(format_part(part)) == [
        "| step | rate | 5.25 clips/s (median of 3) | ≥ 2 | passed |",
        "| step | plain | 1 |  |  |",
        "| step | error | 1 | ≤ 0.5 | FAILED |",
        "| step | ended after 0 s by an error | ValueError: no kernel | | FAILED |",
    ]
