"""The report page, also from a folder in which only some of the stages have run."""

import dataclasses
import json
import re

import cv2
import numpy as np
import pytest
from PIL import Image

from signrep_core.__main__ import main
from signrep_core.config import Config
from signrep_core.errors import TableError
from signrep_core.inspect.report.files import ReportFiles, find_files
from signrep_core.inspect.report.items import (
    DRAWINGS,
    FIGURES,
    activity_share,
    caption,
    overlap,
    provenance,
    scores,
    stage_times,
)
from signrep_core.inspect.report.pictures import contact_sheet, fit, rejected_examples
from signrep_core.inspect.report.report import write_report
from signrep_core.inspect.report.statistics import Statistics
from signrep_core.sources.sheet import Row
from signrep_core.store.files import write_json, write_text
from signrep_core.store.layout import PAGES
from signrep_core.store.schemas import POSE, VIDEOS
from signrep_core.store.tables import write_table
from signrep_core.store.video_status import finalise, new_video_status
from tests.finished import RUN
from tests.inspect.pages import open_page
from tests.video.painted import number_in, write_pictures, write_video


@pytest.fixture
def results(tmp_path):
    """A table of three videos, one of them rejected but displayable, one malicious."""
    write_video(tmp_path / "small.mp4", range(20))
    rows = [Row(video, str(tmp_path / f"{video}.mp4"), "d & <b>", "train") for video in ("good", "small", "bad")]
    videos = new_video_status(rows)
    videos["duration_s"][:] = 0.8
    outcomes = {
        "small": ("rejected", "signer_too_small", "shoulders <i>10</i> px apart"),
        "bad": ("rejected", "undecodable", "broken"),
    }
    write_table(tmp_path / "results/videos/00000.parquet", VIDEOS, finalise(videos, outcomes))
    return tmp_path / "results"


def test_a_run_that_has_just_begun_has_a_page(results):
    write_report(find_files(results, "demo"), results / "report.html")
    page = (results / "report.html").read_text()
    assert "signer_too_small" in page
    assert 'id="training"' not in page


def test_names_from_the_sheet_are_escaped(results):
    write_report(find_files(results, "demo"), results / "report.html")
    page = (results / "report.html").read_text()
    assert "<i>10</i>" not in page
    assert "&lt;i&gt;10" in page
    assert "d &amp; &lt;b&gt;" in page


def test_only_rejected_videos_that_were_decoded_have_a_frame(results):
    examples = {example.video_id: example for example in rejected_examples([results / "videos/00000.parquet"])}
    assert examples["small"].picture.ndim == 3
    assert examples["bad"].picture is None
    assert list(examples) == ["small", "bad"]  # those with a picture first


def test_a_rejected_image_folder_has_a_frame(tmp_path):
    folder = write_pictures(tmp_path / "v", 5)
    videos = new_video_status([Row("v", str(folder), "d", "train", fps=25)])
    brief = {"v": ("rejected", "too_few_frames", "5 frames, at least 16 are needed")}
    write_table(tmp_path / "v.parquet", VIDEOS, finalise(videos, brief))
    (example,) = rejected_examples([tmp_path / "v.parquet"])
    assert number_in(example.picture) == 0


def test_a_folder_without_a_run_is_an_error(tmp_path):
    with pytest.raises(TableError, match="nothing to report; run the workflow first"):
        find_files(tmp_path, "demo")


def test_scores_are_next_to_chance_level_and_baselines(tmp_path):
    found = {"metrics": {"R@1": 40.0}, "chance": {"R@1": 20.0}, "baselines": {"raw_keypoints": {"R@1": 55.0}},
             "protocol": {"gallery": "train"}, "counts": {"query_videos": 10}}  # fmt: skip
    path = tmp_path / "retrieval/demo/mine.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(found))
    (item,) = scores([tmp_path / "retrieval/demo/mine.json"])
    assert item.columns == ("", "demo", "chance", "raw keypoints")
    assert item.rows == (("R@1", "40.0", "20.0", "55.0"),)
    assert item.caption == "In percent; gallery train; query videos 10"


def test_times_are_summed_by_stage(tmp_path):
    for shard in ("00000", "00001"):
        path = tmp_path / f"extract_pose/{shard}.tsv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("s\tcpu_time\n1800\t3600\n")
    (tmp_path / "median_bones.tsv").write_text("s\tcpu_time\n36\t-\n")
    table = stage_times(tmp_path).set_index("stage")
    assert table.loc["extract_pose"].tolist() == [2, 1.0, 2.0]
    assert table.loc["median_bones", "cpu_h"] == 0


def test_scores_that_could_not_be_measured_say_so(tmp_path):
    write_json(tmp_path / "retrieval/demo/mine.json", {"metrics": None, "note": "no labelled query"})
    (item,) = scores([tmp_path / "retrieval/demo/mine.json"])
    assert item.title == "Retrieval of mine: demo"
    assert item.caption == "Not measured: no labelled query."


def test_the_audit_says_when_nothing_was_compared(tmp_path):
    (tmp_path / "overlap.tsv").write_text("video_id\tyoutube_id\tmatched_dataset\tmatched_id\trule\n")
    assert "Nothing was compared" in overlap(tmp_path / "overlap.tsv", Config()).caption
    compared = Config(deduplicate={"wlasl": "WLASL_v0.3.json"})
    note = overlap(tmp_path / "overlap.tsv", compared).caption
    assert note.endswith("evaluation data: 0. Those in the pretraining data (all data sets, split train) are excluded.")


def test_an_audited_video_is_counted_once_and_listed_with_every_instance(tmp_path):
    rows = ["video_id\trule", "a\tfilename", "a\tfolder", "b\tfilename"]
    (tmp_path / "overlap.tsv").write_text("\n".join(rows) + "\n")
    item = overlap(tmp_path / "overlap.tsv", None)
    assert "evaluation data: 2." in item.caption
    assert len(item.rows) == 3


def test_provenance_names_models_settings_and_the_run_s_own_versions(tmp_path):
    origin = {"rule": "extract_pose", "params": "ab12", "versions": "signrep 9.9 torch 1.2+cpu", "backend": "eyes 3"}
    empty = {column.name: np.empty((0, *column.shape)) for column in POSE.columns}
    write_table(tmp_path / "pose/00000.parquet", POSE, empty, origin)
    files = ReportFiles(tmp_path, "demo", [], tables=[tmp_path / "pose/00000.parquet"])
    made, used, settings, versions = provenance(files, Config(seed=7, pretrain={"iterations": 5}))
    assert made.rows == (("pose", "extract_pose", "ab12", "–", "–"),)
    assert used.rows == (("pose: detector", "eyes 3"),)
    assert settings.rows == (("seed", "7"), ("pretrain.iterations", "5"))
    assert versions.rows == (("signrep", "9.9"), ("torch", "1.2+cpu"))


def test_sections_with_tables_are_pages_of_their_own(results):
    write_report(find_files(results, "demo"), results / "report.html")
    pages = {path.stem: path.read_text() for path in (results / "report").iterdir()}
    assert set(pages) == set(PAGES)
    assert "signer_too_small" in pages["videos"]
    assert "None of these stages has run" in pages["results"]
    assert '<nav aria-label="Sections">' not in pages["videos"]


def test_numbers_are_right_aligned_and_words_left_aligned(results):
    write_report(find_files(results, "demo"), results / "report.html")
    row = re.search(r"<tr><td>d &amp; &lt;b&gt;</td>.*?</tr>", (results / "report.html").read_text()).group(0)
    assert re.findall(r'<td( class="n")?>', row) == ["", "", "", ' class="n"', ' class="n"']


def test_activity_is_shown_as_a_share_of_the_windows(tmp_path):
    statistics = Statistics()
    statistics.windows += 8
    statistics.active += [6, 1]
    write_json(tmp_path / "00000.json", statistics.to_dict())
    item = activity_share([tmp_path / "00000.json"])
    assert item.rows == (("right", "75.0 %"), ("left", "12.5 %"))


def test_every_chart_has_a_caption():
    assert all(caption(name) for name in (*DRAWINGS, *FIGURES, *PAGES))


@pytest.mark.parametrize(
    ("name", "section", "title", "seen"),
    [
        ("augmented_demo", "training", "Augmented windows: demo", "as training sees it"),
        ("retrieval_demo_mine", "results", "Nearest neighbours: demo_mine", "nearest windows"),
        ("confusion_demo_mine", "results", "Confusion matrix: demo_mine", "A matrix of counts"),
    ],
)
def test_figures_of_other_stages_are_in_their_section_with_caption_and_alt_text(results, name, section, title, seen):
    write_report(find_files(results, "demo"), results / "report.html")
    assert title not in (results / "report.html").read_text()
    for task in ("retrieval", "recognition"):
        write_json(results / f"{task}/demo/mine.json", {"metrics": None, "note": "no labelled query"})
    (results / "figures").mkdir(exist_ok=True)
    Image.fromarray(np.full((20, 30, 3), 200, np.uint8)).save(results / f"figures/{name}.png")
    write_report(find_files(results, "demo"), results / "report.html")
    page = (results / "report.html").read_text()
    part = page[page.index(f'id="{section}"') :]
    assert title in part
    assert seen in re.search(r'<img[^>]*alt="([^"]*)"', part[part.index(title) :]).group(1)
    assert caption(name.split("_")[0])[:30] in part


def test_the_files_of_a_run_are_not_those_of_another(scratch):
    for path in ("pretrain/a_other/metrics.csv", "figures/augmented_a_other.png", "retrieval/a_other/made.json",
                 "features/a_other/made.parquet", f"figures/retrieval_{RUN}_b_made.png"):  # fmt: skip
        (scratch / path).parent.mkdir(parents=True, exist_ok=True)
        (scratch / path).write_text("step,loss\n1,2.0\n")
    files = find_files(scratch, RUN)
    assert files.training == scratch / f"pretrain/{RUN}/metrics.csv"
    assert {path.name for path in files.figures} == {
        f"augmented_{RUN}.png", f"retrieval_{RUN}_made.png", f"confusion_{RUN}_made.png",
    }  # fmt: skip
    assert {path.parent.name for path in (*files.scores, *files.features)} == {RUN}


@pytest.mark.slow
def test_the_training_section_shows_the_run_that_is_asked_for(scratch, capsys):
    for name, metric in (("a_other", "of_the_other"), ("asked", "of_the_asked")):
        write_text(scratch / f"pretrain/{name}/metrics.csv", f"step,loss,{metric}\n1,2.0,1.0\n2,1.5,1.0\n")
    assert main(["report", str(scratch), "--run", "asked", "--out", str(scratch / "page.html")]) == 0
    page = (scratch / "page.html").read_text()
    assert "of the asked" in page
    assert "of the other" not in page
    assert "Run &#39;asked&#39;" in page


@pytest.mark.slow
def test_the_report_s_run_is_the_configured_one_by_default(scratch):
    write_text(scratch / "pretrain/a_other/metrics.csv", "step,loss,of_the_other\n1,2.0,1.0\n")
    write_text(scratch / f"pretrain/{RUN}/metrics.csv", "step,loss,of_the_configured\n1,2.0,1.0\n")
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(scratch / f"figures/augmented_{RUN}.png")
    assert main(["report", str(scratch)]) == 0
    page = (scratch / "report.html").read_text()
    assert "of the configured" in page
    assert "of the other" not in page


def test_the_head_says_how_a_run_departs_from_the_paper(results):
    text = "small settings: 4 of 500,000 steps; the paper's: --configfile configs/paper.yaml"
    for departures, shown in (({"departures": text}, True), ({"departures": ""}, False), ({}, False)):
        write_json(results / "summary.json", {"videos": 3, **departures})
        write_report(find_files(results, "demo"), results / "report.html")
        head = (results / "report.html").read_text().split("<main>")[0]
        assert ('class="training">small settings' in head) == shown
        assert ('class="training"' in head) == shown


@pytest.fixture(scope="module")
def page_url(finished, tmp_path_factory):
    """The page of a finished run."""
    page = tmp_path_factory.mktemp("page") / "report.html"
    write_report(dataclasses.replace(find_files(finished, RUN), figures=[]), page)
    return page.as_uri()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.slow
def test_the_page_is_readable_in_both_modes(page_url, theme):
    with open_page(page_url, theme=theme) as (page, said, _):
        charts = page.locator("figure svg")
        assert charts.count() == len(DRAWINGS)
        pixels = cv2.imdecode(np.frombuffer(charts.first.screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
        paper, ink = int(np.median(pixels)), int(pixels.min() if theme == "light" else pixels.max())
        assert (paper > 240 and ink < 60) if theme == "light" else (paper < 40 and ink > 180)
        assert said == []


def test_a_contact_sheet_holds_every_crop():
    crops = [(f"ü {k}" * 20, np.full((64, 64, 3), k, np.uint8)) for k in range(5)]
    sheet = contact_sheet(crops, columns=3)
    assert sheet.shape[1] == 3 * 64
    assert (sheet[:64, :64] == 0).all()
    assert fit(sheet, 96).shape[1] == 96
