"""docs/method.md is true: what its tables name is in the code, the configuration and the tests."""

import re

import pytest

from signrep_core.body.targets import ACTIVITY_WEIGHT, PRIORS
from tests.names import KEYS, ROOT, defined_tests, find_key_or_name

PAGE = (ROOT / "docs/method.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.+?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
QUOTED = re.compile(r"`([^`]+)`")
SOURCES = {"S", "M", "R"}  # supplement, main text, release


def rows_of(section: str) -> list[list[str]]:
    """Cells of a section's table, without its head."""
    lines = [line for line in SECTIONS[section].splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


STATEMENTS = [
    row for name in SECTIONS if name not in ("Departures", "Table 9: weights and scales") for row in rows_of(name)
]
IDS = [row[0] for row in STATEMENTS]


def test_every_statement_has_its_number_in_order() -> None:
    assert len(STATEMENTS) >= 80
    parts = [(name.removesuffix(number), int(number)) for name in IDS for number in re.findall(r"\d+$", name)]
    counted: dict[str, int] = {}
    for part, number in parts:
        counted[part] = counted.get(part, 0) + 1
        assert number == counted[part], f"{part}{number}"


@pytest.mark.parametrize("row", STATEMENTS, ids=IDS)
def test_a_statement_names_its_source_its_place_and_its_tests(row: list[str]) -> None:
    _, statement, source, here, checked, _ = row
    assert statement
    assert set(source.split(", ")) <= SOURCES
    places, tests = QUOTED.findall(here), QUOTED.findall(checked)
    assert places
    assert tests
    for name in places:
        find_key_or_name(name)


@pytest.mark.parametrize("test", sorted({name for name in QUOTED.findall(PAGE) if "::" in name}))
def test_every_named_test_exists(test: str) -> None:
    path, name = test.split("::")
    assert name in defined_tests(path)


def test_all_else_that_is_quoted_exists() -> None:
    for name in QUOTED.findall(PAGE):
        if name.startswith("tests/"):
            assert (ROOT / name.split("::")[0]).is_file()
        elif "." in name and name not in ("room.module.function", "signrep_core.room.module.function"):
            find_key_or_name(name)


def test_every_key_that_cites_the_paper_or_an_open_choice_of_it_is_named() -> None:
    cites = re.compile(r"A\d|Table \d|supplement|paper|D, decision 00(26|29)")
    extras = (field.json_schema_extra for _, field in KEYS.values())
    sources = [str(extra.get("source", "")) if isinstance(extra, dict) else "" for extra in extras]
    cited = {key for key, source in zip(KEYS, sources, strict=True) if cites.match(source)}
    shared = {key for key in cited if key.startswith("recognition.") and key.replace("recognition", "pretrain") in KEYS}
    assert cited - shared - set(QUOTED.findall(PAGE)) == set()


def test_table_9_is_that_of_the_code() -> None:
    expected = {name: (prior.weight, prior.scale) for name, prior in PRIORS.items()} | {"activity": (ACTIVITY_WEIGHT,)}
    expected |= {f"pretrain.{name}_weight": (KEYS[f"pretrain.{name}_weight"][0],)
                 for name in ("variance", "covariance", "adversarial")}  # fmt: skip
    rows = rows_of("Table 9: weights and scales")
    found = {QUOTED.findall(row[3])[0]: tuple(float(cell) for cell in row[1:3] if cell) for row in rows}
    assert found == expected


def test_departures_name_statements_and_statements_departures() -> None:
    departures = {row[0]: row for row in rows_of("Departures")}
    for name, (_, _, statements) in departures.items():
        named = re.findall(r"\b(?:M\d+|A\d\.\d+)\b", statements)
        assert named, name
        assert set(named) <= set(IDS), name
    referred = {name for row in STATEMENTS for name in re.findall(r"see (D\d+)", " ".join(row))}
    assert referred <= set(departures)


def test_every_decision_exists() -> None:
    defined = dict(re.findall(r"^\[(\d{4})\]: (.+)$", PAGE, re.MULTILINE))
    assert set(re.findall(r"\[(\d{4})\](?!:)", PAGE)) == set(defined)
    for number, path in defined.items():
        assert (ROOT / "docs" / path).is_file()
        assert path.startswith(f"decisions/{number}-")
