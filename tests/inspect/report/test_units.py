"""Times and numbers as people read them."""

import pytest

from signrep_core.inspect.report.units import short, time_unit


@pytest.mark.parametrize(
    ("hours", "unit", "told"), [(2.5, "hours", 2.5), (0.5, "minutes", 30), (0.01, "seconds", 36), (0, "seconds", 0)]
)
def test_times_are_told_in_the_unit_that_makes_them_readable(hours, unit, told):
    name, of_an_hour = time_unit(hours)
    assert (name, hours * of_an_hour) == (unit, pytest.approx(told))


@pytest.mark.parametrize(
    ("value", "told"),
    [(0, "0"), (0.0032, "0.0032"), (0.64, "0.64"), (5.12, "5.1"), (163.84, "164"), (1e6, "1,000,000")],
)
def test_numbers_have_no_exponent(value, told):
    assert short(value) == told
