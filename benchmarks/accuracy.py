"""Accuracy of every stage from video to activity with default settings, on synthetic signers with known joints."""

import tempfile
from pathlib import Path

import numpy as np

from signrep_core.body.bones import BoneHistogram
from signrep_core.body.kinematics import forward_kinematics
from signrep_core.body.priors import activity
from signrep_core.config import Angles, Config, Pose
from signrep_core.lift.solver import open_solver
from signrep_core.pose.shard import extract_shard
from signrep_core.store.resume import open_resume_cache
from signrep_core.store.schemas import ACTIVITY, ANGLES, POSE
from signrep_core.store.tables import TableWriter, read_videos
from signrep_core.synthetic.accuracy import Accuracy, measure_shard
from signrep_core.synthetic.corpus import Performance, plan_corpus, render_videos, sheet_rows, write_truth
from signrep_core.video.probe import probe_shard

PROCESSES = 2


def rows(signers: int = 4, glosses: int = 4, size: int = 320) -> list[tuple[str, str]]:
    """(what, figure with unit) of a small corpus; detection 16 videos, about a minute and a half on two cores."""
    plan = plan_corpus(signers=signers, glosses=glosses, takes=1, seed=0, size=size)
    with tempfile.TemporaryDirectory() as folder:
        accuracy, bones = measure(plan, Path(folder))
    return accuracy.rows(bones)


def measure(plan: list[Performance], folder: Path) -> tuple[Accuracy, tuple[np.ndarray, np.ndarray]]:
    """Run the stages over rendered performances; also returns the corpus's median bones."""
    render_videos(plan, folder / "videos", processes=PROCESSES)
    write_truth(plan, folder / "truth.parquet")
    videos = probe_shard(sheet_rows(plan, folder / "videos"), target_fps=25.0, threads=PROCESSES)
    pose = folder / "pose.parquet"
    with open_resume_cache(pose) as cache:
        extract_shard(videos, pose, cache, Config(pose=Pose(min_shoulder_px=24)), threads=PROCESSES)
    histogram, settings, solutions = BoneHistogram(), Angles(), {}
    solve = open_solver(settings.solver, settings.lifter, settings.max_gap)
    for video_id, video in read_videos(folder / "pose.parquet", POSE):
        solutions[video_id] = solve(video)
        histogram.add_lengths(solutions[video_id].lengths)
    medians = histogram.medians()
    bones = (np.float64(medians["body_offsets"]), np.float64(medians["hand_offsets"]))
    with (
        TableWriter(folder / "angles.parquet", ANGLES) as angles,
        TableWriter(folder / "activity.parquet", ACTIVITY) as labels,
    ):
        for video_id, video in read_videos(folder / "pose.parquet", POSE):
            keys = {key: video[key] for key in ("video_id", "frame", "time_s")}
            solution = solutions[video_id]
            angles.write({**keys, **solution.columns()})
            keypoints = forward_kinematics(solution.body_angles, solution.right_angles, solution.left_angles, *bones)
            right, left = activity(keypoints, solution.confidence)
            labels.write({**keys, "right_active": right, "left_active": left})
    accuracy = Accuracy()
    paths = {name: folder / f"{name}.parquet" for name in ("truth", "pose", "angles", "activity")}
    measure_shard(accuracy, **paths)
    return accuracy, bones
