"""Problems that verify reports, and the folder that it checks."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from signrep_core.store.layout import find_output
from signrep_core.store.records import FOLDER, Record


class Problem(NamedTuple):
    """A broken file: the kind of problem, expected and found values, and the rule that makes the file."""

    file: str  # below the results folder
    what: str
    expected: str
    found: str
    rule: str


@dataclass(frozen=True)
class Results:
    """A results folder, or a folder of shards that was copied alone."""

    root: Path
    only_shards: bool = False

    def path(self, name: str) -> Path:
        """Full path of a file, given its path below a results folder."""
        return self.root / (name.removeprefix("shards/") if self.only_shards else name)

    def name(self, path: Path) -> str:
        """Path of a file below a results folder."""
        below = path.relative_to(self.root).as_posix()
        return f"shards/{below}" if self.only_shards else below


def open_results(folder: Path) -> Results:
    """Open a results folder, or a copied folder of shards, which has its index at the top."""
    return Results(folder, only_shards=(folder / "info.json").exists() or (folder / FOLDER / "info.json.json").exists())


def rule_of(name: str, record: Record | None = None) -> str:
    """The rule that makes a file."""
    if record is not None:
        return record.rule
    found = find_output(name)
    return found[0].rule if found else "?"
