"""The list of outputs compared with the rules that make them."""

import re
from pathlib import Path

from signrep_core.store.layout import OUTPUTS, find_output

RULES = Path(__file__).parents[2] / "rules"
WILDCARDS = {
    "{shard}": "00007",
    "{run}": "demo",
    "<run>": "demo",
    "{dataset}": "mine",
    "{inputs}": "demo",
    "{kind}": "raw",
}


def rule_outputs() -> set[tuple[str, str]]:
    """(rule, path) of every output in rules/, its wildcards filled in."""
    found = set()
    for path in RULES.glob("*.smk"):
        for rule, body in re.findall(r"^rule (\w+):\n(.*?)(?=^\S|\Z)", path.read_text(), re.MULTILINE | re.DOTALL):
            block = re.search(r"^    output:\n(.*?)(?=^    \w+:)", body, re.MULTILINE | re.DOTALL)
            assert block is not None, rule
            text = block[1].replace("{FIGURES}", "<results>/figures")
            found |= {(rule, _filled(name)) for name in re.findall(r'"<results>/([^"]+)"', text)}
    return found


def _filled(name: str) -> str:
    for wildcard, value in WILDCARDS.items():
        name = name.replace(wildcard, value)
    return name


def test_every_output_of_a_rule_is_listed_and_every_listed_one_has_its_rule() -> None:
    rules = rule_outputs()
    assert len(rules) > 30
    for rule, name in rules:
        found = find_output(name)
        assert found is not None, f"rule {rule}: add {name} to store/layout.py"
    assert {output.rule for output in OUTPUTS} <= {rule for rule, _ in rules}


def test_wildcards_are_found_in_paths() -> None:
    output, wildcards = find_output("features/my.run-1/wlasl.parquet") or (None, {})
    assert output is not None
    assert output.rule == "extract_features"
    assert wildcards == {"run": "my.run-1", "dataset": "wlasl"}
    assert find_output("pose/7.parquet") is None
    assert find_output("notes.txt") is None
