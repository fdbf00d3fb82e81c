"""A results folder as Hugging Face's `datasets` loads it: a folder of Parquet files per table, and a card."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from signrep_core.errors import TableError
from signrep_core.store.files import atomic_path, write_text

TABLES: Final = ("videos", "pose", "angles", "keypoints", "activity", "crops")


def export_tables(results: str | Path, out: str | Path, tables: Sequence[str] = TABLES) -> dict[str, int]:
    """Copy tables as `data/{table}/{shard}.parquet` with a README.md that names each as a configuration.

    Returns:
        Rows by table.

    Raises:
        TableError: the results folder does not hold a table.
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
    """The YAML head that `load_dataset` reads, and the run's own dataset card below it, where there is one."""
    head = ["---", "configs:"]
    for table in rows:
        head += [f"- config_name: {table}", "  data_files:", "  - split: corpus", f"    path: data/{table}/*.parquet"]
    body = card.read_text(encoding="utf-8") if card.exists() else "# SignRep tables\n"
    if body.startswith("---\n"):  # one head is enough
        body = body.split("---\n", 2)[2].lstrip("\n")
    counts = "\n".join(f"| `{table}` | {n:,} |" for table, n in rows.items())
    return "\n".join([*head, "---", "", body.rstrip(), "", "| table | rows |", "|---|---|", counts, ""])
