"""The report of a run: one self-contained HTML page, and its charts and images as files."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from PIL import Image

from signrep_core import __version__
from signrep_core.inspect.report import items, pictures, theme
from signrep_core.inspect.report.files import ReportFiles
from signrep_core.inspect.report.items import Item, Section
from signrep_core.inspect.report.summary import TRAINING
from signrep_core.inspect.report.units import time_unit
from signrep_core.inspect.status import config_of
from signrep_core.skeleton import SIDES
from signrep_core.store.files import atomic_path, read_json, write_text
from signrep_core.store.layout import PAGES

FIGURE_PX = 1200  # width of the figures on the page
SHEET_PX = 1560


def write_report(files: ReportFiles, out: str | Path, *, title: str = "SignRep", rate: float | None = 25.0) -> None:
    """Write the report page of a run; next to it, its charts in `figures/` and some of its sections in `report/`.

    Args:
        files: of a run, finished or not; a stage without files is left out.
        out: the page to write.
        rate: frames per second of the common timeline; None = native frames.
    """
    out = Path(out)
    charts = {name: theme.to_svg(figure, name) for name, figure in items.draw_all(files, rate).items()}
    for name, svg in charts.items():
        write_text(out.parent / "figures" / f"{name}.svg", theme.on_white(svg))
    sections = list(_sections(files, charts, out.parent))
    summary: dict[str, Any] = read_json(files.summary, dict, "summarize") if files.summary else {}
    write_text(out, _page(title, files, [section for section in sections if section.items], summary))
    for section in sections:
        if section.name in PAGES:
            section.items = section.items or [Item("table", "Nothing yet", "None of these stages has run.")]
            write_text(out.parent / "report" / f"{section.name}.html", _page(section.title, files, [section], {}))


def _page(title: str, files: ReportFiles, sections: list[Section], summary: Mapping[str, Any]) -> str:
    """A self-contained HTML page with these sections; its head shows the figures of `summary`."""
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True)
    return environment.get_template("page.html.j2").render(
        title=title,
        subtitle=f"Run {files.run!r} of SignRep {__version__}, from the videos to the results. Folder: {files.results}",
        training=[line for line in map(summary.get, TRAINING) if line],
        colours=Markup(theme.page_colours()),
        tiles=_tiles(summary),
        sections=sections,
        footer=f"Written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC. This file contains everything it shows.",
    )  # fmt: skip


def _sections(files: ReportFiles, charts: Mapping[str, str], folder: Path) -> Iterator[Section]:
    """The page's sections from top to bottom."""

    def drawn(*names: str) -> list[Item]:
        return [items.drawing(name, _inline(charts[name])) for name in names if name in charts]

    config = config_of(files.results)
    leaks = [items.overlap(files.overlap, config)] if files.overlap else []
    share = [items.activity_share(files.statistics)] if files.statistics else []
    crops = _crops(files.index.parent, folder) if files.index else []
    augmented, retrieval, confusion = (_figures(files, kind) for kind in ("augmented", "retrieval", "confusion"))
    videos = files.videos
    yield Section("videos", "Videos", [items.final_statuses(videos), items.corpus(videos), *items.rejects(videos)])
    yield Section("leaks", "Leaks", leaks)
    yield Section("poses", "Poses", drawn("detection", "bones", "angles"))
    yield Section("sequences", "Sequences", [*crops, *drawn("lengths"), *share, *drawn("activity")])
    yield Section("training", "Training", [*augmented, *drawn("training")])
    yield Section("results", "Results", [*items.scores(files.scores), *retrieval, *confusion])
    yield Section("time", "Time", drawn("timing"))
    yield Section("provenance", "Provenance", items.provenance(files, config))


def _inline(svg: str) -> Markup:
    """A chart as an `<svg>` element of the page."""
    return Markup(svg[svg.index("<svg") :])


def _tiles(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Value and label of the summary's figures."""
    names = {"videos": "videos", "in_shards": "in the shards", "excluded": "excluded", "rejected": "rejected",
             "sequences": "sequences", "frames": "frames"}  # fmt: skip
    tiles = [(f"{summary[name]:,}", label) for name, label in names.items() if name in summary]
    if "hours" in summary:
        unit, scale = time_unit(summary["hours"])
        tiles.append((f"{scale * summary['hours']:,.1f}", f"{unit} of sequences"))
    hands = {f"{side}_hand_found": f"{side} hand found" for side in SIDES}
    return tiles + [(f"{summary[name]:.0f} %", label) for name, label in hands.items() if name in summary]


def _crops(shards: Path, folder: Path) -> list[Item]:
    """The contact sheet of crops; also written as figures/crops.jpg."""
    crops = pictures.sample_crops(shards)
    if not crops:
        return []
    jpeg = pictures.to_jpeg(pictures.fit(pictures.contact_sheet(crops), SHEET_PX))
    with atomic_path(folder / "figures/crops.jpg") as partial:
        partial.write_bytes(jpeg)
    alt = f"{len(crops)} crops of signers with the names of their videos"
    return [items.photo("Crops", "crops", alt, jpeg)]


def _figures(files: ReportFiles, kind: str) -> list[Item]:
    """The figures of one kind that other stages have drawn: `figures/{kind}_*.png`."""
    found = []
    title, alt = items.FIGURES[kind]
    for path in (path for path in files.figures if path.name.startswith(f"{kind}_")):
        jpeg = pictures.to_jpeg(pictures.fit(np.asarray(Image.open(path).convert("RGB")), FIGURE_PX))
        found.append(items.photo(f"{title}: {path.stem.removeprefix(f'{kind}_')}", kind, alt, jpeg))
    return found
