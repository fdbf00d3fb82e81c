"""Times and numbers in a readable unit and number of digits."""


def time_unit(hours: float) -> tuple[str, float]:
    """The largest unit in which this time is at least 1, and how many of it make an hour."""
    return next(
        ((name, per_hour) for name, per_hour in (("hours", 1.0), ("minutes", 60.0)) if hours * per_hour >= 1),
        ("seconds", 3600.0),
    )


def short(value: float) -> str:
    """A number with at least two significant digits and without an exponent."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}" if value >= 0.001 else "0"
