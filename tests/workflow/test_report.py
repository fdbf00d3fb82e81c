"""The report of the real clips in a real browser."""

import zipfile
from pathlib import Path

import pytest

from tests.inspect.pages import open_page
from tests.workflow.conftest import Finished, snakemake


@pytest.mark.parametrize(("width", "theme"), [(1200, "light"), (1200, "dark"), (390, "light")])
def test_the_page_stands_alone_and_fits(clips_run: Finished, width, theme):
    url = (clips_run.results / "report.html").as_uri()
    with open_page(url, width, theme) as (page, said, asked):
        assert said == []
        assert [address for address in asked if not address.startswith("data:")] == [url]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("Math.max(...[...document.querySelectorAll('td')].map(cell => cell.offsetHeight))") < 250
        assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0 && i.alt)")
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == ("rgb(255, 255, 255)" if theme == "light" else "rgb(22, 25, 29)")


def test_the_page_holds_every_section(clips_run: Finished):
    with open_page((clips_run.results / "report.html").as_uri()) as (page, _, _):
        sections = page.evaluate("[...document.querySelectorAll('h2')].map(h => h.textContent)")
        assert sections == ["Videos", "Leaks", "Poses", "Sequences", "Training", "Results", "Time", "Provenance"]
        assert page.locator("text=robust_no_person_cars").count() == 1
        assert page.locator("svg").count() == 7


def test_the_page_can_be_mailed(clips_run: Finished):
    assert (clips_run.results / "report.html").stat().st_size < 15e6


def test_snakemake_s_report_holds_the_same_items(clips_run: Finished, tmp_path):
    done = snakemake(*clips_run.config, "--report", tmp_path / "report.zip")
    assert done.returncode == 0, done.stdout[-3000:]
    with zipfile.ZipFile(tmp_path / "report.zip") as archive:
        held = {Path(name).name for name in archive.namelist()}
    made = [path for kind in ("figures", "report") for path in (clips_run.results / kind).iterdir() if path.is_file()]
    assert len(made) > 14
    assert {path.name for path in made} <= held
    assert "report.html" in held
    assert (tmp_path / "report.zip").stat().st_size < 15e6
