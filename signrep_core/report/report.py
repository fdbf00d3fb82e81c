"""The report: one page of HTML that needs nothing beside it, and its drawings and photographs as files."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from PIL import Image

from signrep_core import __version__
from signrep_core.errors import TableError
from signrep_core.report import items, pictures, theme
from signrep_core.report.items import Item, Section
from signrep_core.store.files import atomic_path, read_json, write_text

FIGURE_PX = 1200  # width of the figures on the page
SHEET_PX = 1560


def write_report(results: str | Path, out: str | Path, *, title: str = "SignRep", rate: float | None = 25.0) -> None:
    """Write the page on a results folder, and the drawings beside it in `figures/`.

    Args:
        results: of a run, finished or not; what is not there yet is left out.
        out: the page to write.
        rate: frames per second of the common timeline, None for native frames.

    Raises:
        TableError: the folder holds no account of videos: nothing has run there.
    """
    results, out = Path(results), Path(out)
    accounts = sorted((results / "videos").glob("*.parquet"))
    if not accounts:
        raise TableError(f"{results}: holds no videos/*.parquet, so there is nothing to report; run the workflow first")
    drawings = items.draw_all(results, rate)
    for name, svg in drawings.items():
        write_text(out.parent / "figures" / f"{name}.svg", theme.standalone(svg))
    page = _environment().get_template("page.html.j2").render(
        title=title,
        subtitle=f"What a run of SignRep {__version__} did, from the videos to the figures. Folder: {results}",
        colours=Markup(theme.page_colours()),
        tiles=_tiles(results),
        sections=[section for section in _sections(results, accounts, drawings, out.parent) if section.items],
        footer=f"Made {datetime.now(UTC):%Y-%m-%d %H:%M} UTC. The page holds everything it shows: it can be mailed.",
    )  # fmt: skip
    write_text(out, page)


def _sections(results: Path, accounts: list[Path], drawings: dict[str, str], folder: Path) -> Iterable[Section]:
    """The page's sections, top to bottom."""

    def drawn(*names: str) -> list[Item]:
        return [items.drawing(name, Markup(drawings[name])) for name in names if name in drawings]

    yield Section(
        "videos", "Videos", [items.endings(accounts), items.corpus(accounts), *_present(items.rejects(accounts))]
    )
    yield Section(
        "leaks", "Leaks", [items.overlap(results / "overlap.tsv")] if (results / "overlap.tsv").exists() else []
    )
    yield Section("poses", "Poses", drawn("detection", "bones", "angles"))
    counts = sorted((results / "statistics").glob("*.json"))
    shares = [items.activity_share(counts)] if counts else []
    yield Section("sequences", "Sequences", [*_crops(results, folder), *drawn("lengths"), *shares, *drawn("activity")])
    yield Section("training", "Training", [*_figures(results, "augmented"), *drawn("training")])
    yield Section(
        "results", "Results", [*items.scores(results), *_figures(results, "retrieval"), *_figures(results, "confusion")]
    )
    yield Section("time", "Time", drawn("timing"))
    yield Section(
        "provenance", "Provenance", [items.provenance(accounts[0], "How the tables were made"), items.versions()]
    )


def _tiles(results: Path) -> list[tuple[str, str]]:
    """The summary's figures, as far as the run has come."""
    path = results / "summary.json"
    if not path.exists():
        return []
    found: dict[str, Any] = read_json(path, dict, "summarize")
    names = {"videos": "videos", "in_shards": "in shards", "excluded": "excluded", "rejected": "rejected",
             "sequences": "sequences", "frames": "frames", "hours": "hours in shards"}  # fmt: skip
    tiles = [(_figure(found[name]), label) for name, label in names.items() if name in found]
    hands = {f"{side}_hand_found": f"{side} hand found" for side in ("right", "left")}
    return tiles + [(f"{found[name]:.0f} %", label) for name, label in hands.items() if name in found]


def _crops(results: Path, folder: Path) -> list[Item]:
    """The contact sheet of crops, also as figures/crops.jpg."""
    if not (results / "shards/index.parquet").exists():
        return []
    crops = pictures.spread_crops(results / "shards")
    if not crops:
        return []
    jpeg = pictures.to_jpeg(pictures.fit(pictures.contact_sheet(crops), SHEET_PX))
    with atomic_path(folder / "figures/crops.jpg") as partial:
        partial.write_bytes(jpeg)
    alt = f"{len(crops)} crops of signers with the names of their videos"
    return [items.photo("Crops", "crops", alt, jpeg)]


def _figures(results: Path, kind: str) -> list[Item]:
    """The figures of one kind that other stages drew, `figures/{kind}_*.png`."""
    found = []
    title, alt = items.FIGURES[kind]
    for path in sorted((results / "figures").glob(f"{kind}_*.png")):
        jpeg = pictures.to_jpeg(pictures.fit(np.asarray(Image.open(path).convert("RGB")), FIGURE_PX))
        found.append(items.photo(f"{title}: {path.stem.removeprefix(f'{kind}_')}", kind, alt, jpeg))
    return found


def _environment() -> Environment:
    return Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True)


def _present(item: Item | None) -> list[Item]:
    return [item] if item is not None else []


def _figure(value: float | int) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
