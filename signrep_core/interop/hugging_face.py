"""Export of a results folder for Hugging Face's `datasets`: a folder of Parquet files per table, and a dataset card."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from signrep_core.errors import TableError
from signrep_core.store.files import atomic_path, write_text

TABLES: Final = ("videos", "pose", "angles", "keypoints", "activity", "crops")


def export_tables(results: str | Path, out: str | Path, tables: Sequence[str] = TABLES) -> dict[str, int]:
    """Copy tables to `data/{table}/{shard}.parquet` and write a README.md with a configuration for each.

    Returns:
        Number of rows by table.

    Raises:
        TableError: the results folder does not contain a table.
    """
    results, out = Path(results), Path(out)
    rows = {}
    for table in tables:
        paths = sorted((results / table).glob("*.parquet"))
        if not paths:
            raise TableError(f"{results}/{table}: holds no Parquet file; run the workflow, or leave {table!r} out")
        for path in paths:
            with atomic_path(out / "data" / table / path.name) as partial:
                shutil.copyfile(path, partial)
        rows[table] = sum(pq.read_metadata(path).num_rows for path in paths)
    write_text(out / "README.md", _card(rows, results / "README.md"))
    return rows


def _card(rows: dict[str, int], card: Path) -> str:
    """The YAML front matter for `load_dataset`, followed by the run's own dataset card if there is one."""
    head = ["---", "configs:"]
    for table in rows:
        head += [f"- config_name: {table}", "  data_files:", "  - split: corpus", f"    path: data/{table}/*.parquet"]
    body = card.read_text(encoding="utf-8") if card.exists() else "# SignRep tables\n"
    if body.startswith("---\n"):  # without the card's own front matter
        body = body.split("---\n", 2)[2].lstrip("\n")
    counts = "\n".join(f"| `{table}` | {n:,} |" for table, n in rows.items())
    return "\n".join([*head, "---", "", body.rstrip(), "", "| table | rows |", "|---|---|", counts, ""])
