"""The report: one page of HTML that needs nothing beside it, and its drawings and photographs as files."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from PIL import Image

from signrep_core import __version__
from signrep_core.errors import TableError
from signrep_core.inspect.report import items, pictures, theme
from signrep_core.inspect.report.items import Item, Section
from signrep_core.inspect.report.units import time_unit
from signrep_core.inspect.status import config_of
from signrep_core.store.files import atomic_path, read_json, write_text
from signrep_core.store.layout import PAGES

FIGURE_PX = 1200  # width of the figures on the page
SHEET_PX = 1560


def write_report(results: str | Path, out: str | Path, *, title: str = "SignRep", rate: float | None = 25.0) -> None:
    """Write the page on a results folder, and beside it its drawings in `figures/` and some sections in `report/`.

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
    sections = list(_sections(results, accounts, drawings, out.parent))
    write_text(out, _page(title, results, [section for section in sections if section.items], _tiles(results)))
    for section in sections:
        if section.name in PAGES:
            section.items = section.items or [Item("table", "Nothing yet", "None of these stages has run.")]
            write_text(out.parent / "report" / f"{section.name}.html", _page(section.title, results, [section]))


def _page(title: str, results: Path, sections: list[Section], tiles: Iterable[tuple[str, str]] = ()) -> str:
    """Sections as a page that needs nothing beside it."""
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True)
    return environment.get_template("page.html.j2").render(
        title=title,
        subtitle=f"What a run of SignRep {__version__} did, from the videos to the figures. Folder: {results}",
        colours=Markup(theme.page_colours()),
        tiles=tiles,
        sections=sections,
        footer=f"Made {datetime.now(UTC):%Y-%m-%d %H:%M} UTC. The page holds everything it shows: it can be mailed.",
    )  # fmt: skip


def _sections(results: Path, accounts: list[Path], drawings: dict[str, str], folder: Path) -> Iterator[Section]:
    """The page's sections, top to bottom."""

    def drawn(*names: str) -> list[Item]:
        return [items.drawing(name, Markup(drawings[name])) for name in names if name in drawings]

    def figures(kind: str) -> list[Item]:
        return _figures(results, kind)

    counts, audit = sorted((results / "statistics").glob("*.json")), results / "overlap.tsv"
    config = config_of(results)
    leaks = [items.overlap(audit, config)] if audit.exists() else []
    share = [items.activity_share(counts)] if counts else []
    yield Section("videos", "Videos", [items.endings(accounts), items.corpus(accounts), *items.rejects(accounts)])
    yield Section("leaks", "Leaks", leaks)
    yield Section("poses", "Poses", drawn("detection", "bones", "angles"))
    yield Section("sequences", "Sequences", [*_crops(results, folder), *drawn("lengths"), *share, *drawn("activity")])
    yield Section("training", "Training", [*figures("augmented"), *drawn("training")])
    yield Section("results", "Results", [*items.scores(results), *figures("retrieval"), *figures("confusion")])
    yield Section("time", "Time", drawn("timing"))
    yield Section("provenance", "Provenance", items.provenance(results, config))


def _tiles(results: Path) -> list[tuple[str, str]]:
    """The summary's figures, as far as the run has come."""
    path = results / "summary.json"
    if not path.exists():
        return []
    found: dict[str, Any] = read_json(path, dict, "summarize")
    names = {"videos": "videos", "in_shards": "in the shards", "excluded": "excluded", "rejected": "rejected",
             "sequences": "sequences", "frames": "frames"}  # fmt: skip
    tiles = [(f"{found[name]:,}", label) for name, label in names.items() if name in found]
    if "hours" in found:
        unit, scale = time_unit(found["hours"])
        tiles.append((f"{scale * found['hours']:,.1f}", f"{unit} of sequences"))
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
