"""The summary table, on tables made by hand."""

import numpy as np
import pytest

from signrep_core.inspect.report.statistics import Statistics
from signrep_core.inspect.report.summary import (
    format_recognition,
    format_retrieval,
    format_summary,
    format_translation,
    summarize,
)
from signrep_core.sources.sheet import Row
from signrep_core.store.files import write_json
from signrep_core.store.schemas import SEQUENCES, SHEET_COLUMNS, VIDEOS
from signrep_core.store.tables import write_table
from signrep_core.store.video_status import finalise, new_video_status


@pytest.fixture
def figures(tmp_path):
    videos = new_video_status([Row(video, f"{video}.mp4", "d", "train") for video in "abcd"])
    videos["duration_s"][:] = 10
    videos["end"][0] = 60.0  # a's span
    outcomes = {
        "b": ("rejected", "no_signer", "nobody"),
        "c": ("rejected", "missing_file", "gone"),
        "d": ("excluded", "overlap", "in WLASL"),
    }
    write_table(tmp_path / "videos.parquet", VIDEOS, finalise(videos, outcomes))
    texts = {name: ["x"] for name in ("shard", "video_id", *(c.name for c in SHEET_COLUMNS))}
    numbers = {"sequence": [0], "first_row": [0], "n_frames": [90_000], "fps": [25.0]}
    write_table(tmp_path / "sequences.parquet", SEQUENCES, {**texts, **{k: np.array(v) for k, v in numbers.items()}})
    confidence = np.zeros((4, 61))
    confidence[:3, 19] = 1  # the right hand in three frames, one of them without a signer
    statistics = Statistics()
    statistics.add_pose({"present": np.array([False, True, True, True]), "confidence": confidence})
    statistics.hands[:] = [[[8, 6], [4, 1]], [[0, 0], [2, 2]]]
    write_json(tmp_path / "statistics.json", statistics.to_dict())
    (tmp_path / "bench.tsv").write_text("s\tcpu_time\n20.0\t40.0\n")
    files = ([str(tmp_path / name)] for name in ("videos.parquet", "sequences.parquet", "statistics.json"))
    return summarize(*files, [tmp_path / "bench.tsv"])


def test_every_video_is_counted_once(figures):
    assert figures["videos"] == figures["in_shards"] + figures["excluded"] + figures["rejected"] == 4
    assert figures["reasons"] == {"missing_file": 1, "overlap": 1, "no_signer": 1}


def test_spans_that_their_videos_cut_are_counted_in_a_line_of_their_own(figures):
    assert figures["cut_spans"] == 1
    assert "    cut_span                       1   the sheet's span ends after the video" in format_summary(figures)
    assert "cut_span" not in format_summary(figures | {"cut_spans": 0})


def test_hours_are_frames_over_their_rate(figures):
    assert figures["hours"] == pytest.approx(1.0)


def test_pose_speed_counts_all_frames_that_were_looked_through(figures):
    assert figures["pose_frames"] == 500  # a and b, 10 s each at 25 frames per second
    assert figures["pose_frames_per_second"] == 25
    assert figures["pose_frames_per_core_second"] == 12.5


def test_hands_are_counted_where_there_is_a_signer(figures):
    assert figures["right_hand_found"] == pytest.approx(200 / 3)
    assert figures["left_hand_found"] == 0


def test_raised_and_resting_hands_are_counted_apart(figures):
    found = [figures[f"{side}_hand_found_{place}"] for side in ("right", "left") for place in ("raised", "resting")]
    assert found == [75, 25, 0, 100]
    assert "    raised                     75.00\n    resting                    25.00" in format_summary(figures)


def test_the_table_explains_each_reason(figures):
    text = format_summary(figures)
    assert "no_signer" in text
    assert "no person was found in any frame" in text


def test_departures_from_the_paper_are_said_once_and_only_where_there_are_any(figures):
    assert "pretraining" not in format_summary(figures)
    lines = {"pretraining": "pretraining: trained on a, split train", "departures": "small settings: tiny preset"}
    text = format_summary(figures | lines)
    assert text == format_summary(figures) + "".join(f"{line}\n" for line in lines.values())
    assert format_summary(figures | {"departures": ""}) == format_summary(figures)


def test_a_short_corpus_is_told_in_a_shorter_unit(figures):
    lines = [line.split() for line in format_summary(figures | {"hours": 0.01}).splitlines()]
    assert ["seconds", "36.00"] in lines


def test_retrieval_is_told_beside_chance_and_baselines():
    chance, keypoints = {"R@1": 20.0, "MRR": 45.67}, {"R@1": 40.0, "MRR": 60.0}
    result = {"metrics": {"R@1": 50.0, "MRR": 75.0}, "chance": chance, "baselines": {"keypoints": keypoints}}
    assert format_retrieval("mine", result) == (
        "retrieval of mine (chance, keypoints): R@1 50.0 (20.0, 40.0), MRR 75.0 (45.7, 60.0)"
    )
    assert "split 'test'" in format_retrieval("mine", {"metrics": None, "note": "split 'test' has no video"})


def test_translation_is_told_beside_chance_and_baselines():
    levels = [{"BLEU-1": b, "BLEU-4": b / 2, "ROUGE-L": b + 1} for b in (30.0, 10.0, 20.0)]
    result = {"metrics": levels[0], "chance": levels[1], "baselines": {"other_references": levels[2]}}
    assert format_translation("mine", result) == (
        "translation of mine (chance, other references): "
        "BLEU-1 30.0 (10.0, 20.0), BLEU-4 15.0 (5.0, 10.0), ROUGE-L 31.0 (11.0, 21.0)"
    )
    none = {"metrics": None, "note": "no sentence of split 'test' is known"}
    assert format_translation("mine", none) == "translation of mine: no sentence of split 'test' is known"


def test_recognition_is_told_beside_chance_and_the_network_on_keypoints():
    def values(x):
        return {"top1_instance": x, "top5_instance": 2 * x, "top1_class": x + 1}

    result = {"metrics": values(30.0), "chance": values(5.0), "baselines": {"keypoints": values(40.0)}}
    assert format_recognition("mine", result) == (
        "recognition of mine (chance, keypoints): top1_instance 30.0 (5.0, 40.0), top5_instance 60.0 (10.0, 80.0), "
        "top1_class 31.0 (6.0, 41.0)"
    )
    none = {"metrics": None, "note": "no test video could be read"}
    assert format_recognition("mine", none) == "recognition of mine: no test video could be read"


@pytest.mark.parametrize("tell", [format_retrieval, format_translation, format_recognition])
def test_videos_that_never_reached_the_shards_are_told_by_split(tell):
    result = {
        "metrics": None,
        "note": "",
        "lost": {"test": {"no_signer": 1, "missing_file": 1}, "train": {"overlap": 3}},
    }
    assert tell("mine", result).endswith("; videos lost before the shards: test 2, train 3")
    assert "lost" not in tell("mine", result | {"lost": {}})
