"""How times and numbers are told to people: in a unit, and with digits, that fit them."""


def time_unit(hours: float) -> tuple[str, float]:
    """The unit to tell such times in, and how many of it an hour has."""
    return next(
        ((name, of_an_hour) for name, of_an_hour in (("hours", 1.0), ("minutes", 60.0)) if hours * of_an_hour >= 1),
        ("seconds", 3600.0),
    )


def short(value: float) -> str:
    """A number of seconds or minutes in two digits or more, never with an exponent."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}" if value >= 0.001 else "0"
