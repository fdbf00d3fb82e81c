"""Corpora: planned without rendering, rendered atomically and resumably, consistent with their truth."""

import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from signrep_core.body.kinematics import forward_kinematics
from signrep_core.config import Synthetic
from signrep_core.errors import ConfigError, SignRepError
from signrep_core.sources.sheet import read_sheet
from signrep_core.store.schemas import TRUTH
from signrep_core.store.tables import read_table, read_videos
from signrep_core.synthetic import corpus
from signrep_core.synthetic.corpus import (
    count_frames,
    is_rendered,
    plan_corpus,
    plan_demo,
    render_video,
    render_videos,
    sheet_rows,
    true_columns,
    video_path,
    write_corpus,
    write_truth,
)
from signrep_core.synthetic.signs import BY_GLOSS, ORDER
from signrep_core.video.reader import read_frames

DEMO = {"signers": 4, "glosses": 3, "takes": 2, "size": 48}
SMALL = {**DEMO, "seed": 0}


def decode(path):
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_a_plan_has_every_gloss_by_every_signer_in_every_take():
    plan = plan_corpus(**SMALL)
    assert len(plan) == 4 * 3 * 2
    assert Counter((video.signer, video.gloss) for video in plan) == {
        (f"s{person:03d}", gloss): 2 for person in range(4) for gloss in ORDER[:3]
    }
    assert len({video.video_id for video in plan}) == len(plan)
    assert len({video.seed for video in plan}) == len(plan)


@pytest.mark.parametrize(("signers", "counts"), [(1, (1, 0, 0)), (2, (1, 0, 1)), (6, (3, 1, 2)), (16, (10, 2, 4))])
def test_splits_share_no_signer(signers, counts):
    split = defaultdict(set)
    for video in plan_corpus(**{**SMALL, "signers": signers}):
        split[video.split].add(video.signer)
    assert tuple(len(split[name]) for name in ("train", "val", "test")) == counts
    assert sum(counts) == len(set.union(*split.values())) == signers


def test_the_same_seed_plans_the_same_corpus_and_another_seed_other_people():
    assert plan_corpus(**SMALL) == plan_corpus(**SMALL)
    one, other = plan_corpus(**SMALL), plan_corpus(**{**SMALL, "seed": 1})
    assert {v.signer_seed for v in one}.isdisjoint(v.signer_seed for v in other)


def test_a_larger_corpus_begins_with_the_smaller_ones_signs():
    small = plan_corpus(**{**SMALL, "takes": 1})
    large = plan_corpus(**{**SMALL, "takes": 1, "glosses": 5})
    assert small[:3] == large[:3]


def test_the_demo_has_signs_and_sentences_of_the_same_people_in_the_same_splits():
    plan = plan_demo(Synthetic(**DEMO, sentences=3, sentence_glosses=12), 0)
    rows = sheet_rows(plan)
    assert Counter(row.dataset for row in rows) == {"synthetic": 4 * 3 * 2, "sentences": 4 * 3}
    assert {bool(row.text) for row in rows if row.dataset == "sentences"} == {True}
    assert not any(row.text for row in rows if row.dataset == "synthetic")
    splits = defaultdict(set)
    for row in rows:
        splits[row.signer].add(row.split)
    assert all(len(found) == 1 for found in splits.values())
    assert len({row.video_id for row in rows}) == len(rows)
    assert plan_demo(Synthetic(**DEMO, sentences=0), 0) == plan_corpus(**SMALL)


def test_pretraining_videos_are_long_and_unlabelled():
    plan = plan_corpus(**{**SMALL, "kind": "pretraining", "glosses": 20})
    assert {video.gloss for video in plan} == {""}
    assert all(len(video.glosses) == corpus.SIGNS_PER_STREAM for video in plan)
    assert min(count_frames(video) for video in plan[:3]) > 150


def test_sentences_carry_glosses_and_text():
    plan = plan_corpus(**{**SMALL, "kind": "sentences", "glosses": len(ORDER), "takes": 5})
    assert len(plan) == 20
    for video, row in zip(plan, sheet_rows(plan), strict=True):
        assert row.gloss.split() == list(video.glosses)
        assert set(video.glosses) <= set(BY_GLOSS)
        assert len(row.text.split()) >= len(video.glosses)


@pytest.mark.parametrize("wrong", [{"signers": 0}, {"takes": 0}, {"glosses": 0}, {"glosses": 10_000}, {"size": 8}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match="synthetic corpus: expected signers >= 1"):
        plan_corpus(**{**SMALL, **wrong})


def test_a_corpus_on_disk_has_its_videos_sheet_and_truth(tmp_path):
    plan = plan_corpus(signers=2, glosses=1, takes=1, seed=0, size=48)
    write_corpus(tmp_path, plan)
    rows = read_sheet(tmp_path / "videos.tsv")
    assert [row.video_id for row in rows] == [video.video_id for video in plan]
    assert [row.split for row in rows] == ["train", "test"]
    assert {row.dataset for row in rows} == {"synthetic"}
    truth = dict(read_videos(tmp_path / "truth.parquet", TRUTH))
    for video, row in zip(plan, rows, strict=True):
        pictures = decode(row.path)
        assert pictures.shape[1:] == (48, 48, 3)
        assert len(pictures) == len(truth[video.video_id]["frame"]) == count_frames(video)


def test_the_sheet_that_the_workflow_plans_is_the_sheet_on_disk(tmp_path):
    plan = plan_corpus(**{**SMALL, "kind": "sentences", "glosses": len(ORDER)})
    corpus.write_corpus_sheet(plan, tmp_path / "videos.tsv", "videos")
    rows = read_sheet(tmp_path / "videos.tsv")
    assert rows == sheet_rows(plan, tmp_path / "videos")
    assert all(row.text for row in rows)


def test_finished_videos_are_kept_and_others_of_their_name_rendered_again(tmp_path):
    video = plan_corpus(**SMALL)[0]
    render_videos([video], tmp_path)
    path = video_path(video, tmp_path)
    before = path.stat().st_mtime_ns
    render_videos([video], tmp_path)
    assert path.stat().st_mtime_ns == before
    assert not is_rendered(replace(video, seed=video.seed + 1), tmp_path)
    render_videos([replace(video, seed=video.seed + 1)], tmp_path)
    assert path.stat().st_mtime_ns != before


def test_a_broken_video_counts_as_not_rendered(tmp_path):
    video = plan_corpus(**SMALL)[0]
    video_path(video, tmp_path).write_bytes(b"half a video")
    assert not is_rendered(video, tmp_path)


def test_an_interrupted_rendering_leaves_nothing(tmp_path, monkeypatch):
    def stop_early(*_):
        yield np.zeros((48, 48, 3), np.float32)
        raise KeyboardInterrupt

    monkeypatch.setattr(corpus, "_render_frames", stop_early)
    with pytest.raises(KeyboardInterrupt):
        render_video(plan_corpus(**SMALL)[0], tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_several_processes_render_the_same_videos_as_one(tmp_path):
    plan = [replace(video, size=32) for video in plan_corpus(**SMALL)[:2]]
    render_videos(plan, tmp_path / "one")
    render_videos(plan, tmp_path / "two", processes=2)
    for video in plan:
        paths = [video_path(video, tmp_path / name) for name in ("one", "two")]
        one, two = (np.stack([frame.rgb for frame in read_frames(path)]) for path in paths)
        assert one.shape == two.shape
        # Processes may choose other kernels: rounding then differs by a grey level or two in a few pixels.
        assert np.abs(one.astype(int) - two).mean() < 0.5


def test_a_video_that_cannot_be_rendered_in_a_process_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "count_frames", lambda performance: 1)
    wrong = [replace(video, glosses=("NOPE",)) for video in plan_corpus(**SMALL)[:2]]
    with pytest.raises(SignRepError, match=r"s000-.*could not be rendered: KeyError"):
        render_videos(wrong, tmp_path, processes=2)


def test_planning_does_not_load_torch_or_the_renderer():
    code = (
        "import sys; from signrep_core.synthetic.corpus import plan_corpus; "
        "plan_corpus(signers=6, glosses=6, takes=1, seed=0, size=320); "
        "print([m for m in ('torch', 'cv2', 'mediapipe', 'signrep_core.synthetic.render') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.strip() == "[]"


def test_the_truth_agrees_with_itself():
    video = plan_corpus(**SMALL)[1]
    truth = true_columns(video)
    joints = forward_kinematics(
        truth["body_angles"], truth["right_angles"], truth["left_angles"], truth["body_offsets"], truth["hand_offsets"]
    )
    assert truth["joints"] == pytest.approx(joints, abs=1e-9)
    # the camera turns the body about the neck: lengths stay
    assert np.linalg.norm(truth["camera_joints"], axis=-1) == pytest.approx(np.linalg.norm(joints, axis=-1), abs=1e-9)
    signing = np.array([gloss == video.glosses[0] for gloss in truth["gloss"]])
    assert 8 < signing.sum() < len(signing)
    assert np.array_equal(signing, truth["right_signing"] | truth["left_signing"])
    head = truth["image_xy"][:, 8:19]
    assert head.min() > 0
    assert head.max() < video.size


def test_the_truth_table_has_the_same_joints_from_the_same_seed(tmp_path):
    plan = plan_corpus(**SMALL)[:2]
    write_truth(plan, tmp_path / "a.parquet")
    corpus.make_act.cache_clear()
    write_truth(plan, tmp_path / "b.parquet")
    one, other = (read_table(tmp_path / name, TRUTH, ["joints"])["joints"] for name in ("a.parquet", "b.parquet"))
    np.testing.assert_allclose(one, other, atol=1e-6)
