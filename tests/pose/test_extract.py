"""Pose of real clips and of scenes put together from them."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from signrep_core.errors import VideoError
from signrep_core.pose import extract
from signrep_core.pose.backend import EngineBackend
from signrep_core.pose.extract import Columns, ahead, extract_video, keep_runs, stretches
from signrep_core.pose.networks import Networks
from signrep_core.pose.people import FaceDetector
from signrep_core.store.schemas import POSE
from signrep_core.video.reader import Frame, read_frames

NOSE, SHOULDERS = 8, (0, 3)


def extract_frames(frames: list[np.ndarray], networks: Networks, find_faces: FaceDetector) -> Columns:
    """The whole pose table of frames shown 25 a second."""
    video = [Frame(i, i / 25, rgb) for i, rgb in enumerate(frames)]
    pieces = list(extract_video(lambda fps: video[::8] if fps else video, networks, find_faces, min_shoulder_px=24))
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def clip(folder: Path, name: str, start: int = 0, stop: int | None = None) -> list[np.ndarray]:
    return [frame.rgb for frame in islice(read_frames(folder / f"asl_{name}.mkv"), start, stop)]


def test_a_signer_is_followed_through_a_clip(clips: Path, networks: Networks, find_faces: FaceDetector) -> None:
    """asl_walk_C, frames 25 to 55: both hands work before the chest."""
    pose = extract_frames(clip(clips, "walk_C", 25, 55), networks, find_faces)
    assert set(pose) == {column.name for column in POSE.columns} - {"video_id"}
    assert pose["present"].all()
    assert not pose["doubtful"].any()
    xyz, confidence = pose["landmarks"], pose["confidence"]
    width = np.linalg.norm(xyz[:, 0] - xyz[:, 3], axis=-1)
    assert ((width > 0.25) & (width < 0.45)).all(), "shoulders of an adult, metres"
    assert (xyz[:, 0, 0] < 0).all(), "the right shoulder is at -x"
    assert (xyz[:, NOSE, 1] < -0.1).all(), "the head is above the neck, at -y"
    for wrist, hand in ((2, 19), (5, 40)):
        sure = confidence[:, hand] >= 0.5
        assert sure.mean() > 0.5
        np.testing.assert_array_equal(xyz[sure, hand], xyz[sure, wrist])
        palm = np.linalg.norm(xyz[sure, hand + 9] - xyz[sure, hand], axis=-1)
        assert 0.05 < np.median(palm) < 0.11, "wrist to middle knuckle, metres"
    assert (np.abs(np.diff(pose["image_xy"][:, NOSE], axis=0)) < 15).all(), "no jumps"


def test_a_signer_is_followed_into_a_picture_of_another_shape(
    clips: Path, networks: Networks, find_faces: FaceDetector
) -> None:
    wide = clip(clips, "walk_C", 25, 41)
    high = [np.ascontiguousarray(rgb[:, 120:520]) for rgb in wide]
    video = [Frame(i, i / 25, rgb, part=i // 16) for i, rgb in enumerate(wide + high)]
    pieces = list(extract_video(lambda fps: video[::8] if fps else video, networks, find_faces, min_shoulder_px=24))
    assert [piece["part"].tolist() for piece in pieces] == [[0] * 16, [1] * 16]
    assert all(piece["present"].all() for piece in pieces)
    nose = [piece["image_xy"][:, NOSE] for piece in pieces]
    assert np.abs(nose[0] - [120, 0] - nose[1]).max() < 12


def test_the_printed_face_on_a_hoodie_is_not_the_signer(
    clips: Path, networks: Networks, find_faces: FaceDetector
) -> None:
    """Signer A's print lies at y 200 to 300; the real nose near (320, 120)."""
    pose = extract_frames(clip(clips, "yes_A", 0, 16), networks, find_faces)
    assert pose["present"].all()
    np.testing.assert_allclose(np.median(pose["image_xy"][:, NOSE], 0), (320, 120), atol=25)


def test_the_bystander_at_the_edge_is_not_the_signer(
    all_clips: Path, networks: Networks, find_faces: FaceDetector
) -> None:
    pose = extract_frames(clip(all_clips, "bird_B", 20, 36), networks, find_faces)
    assert pose["present"].all()
    assert (pose["image_xy"][:, NOSE, 0] < 400).all(), "the bystander sits right of x = 560"


def test_of_two_people_the_one_who_signs_is_followed(clips: Path, networks: Networks, find_faces: FaceDetector) -> None:
    moving = clip(clips, "walk_C", 10, 34)
    still = [clip(clips, "milk_B", 0, 1)[0]] * len(moving)
    pose = extract_frames([np.hstack(pair) for pair in zip(still, moving, strict=True)], networks, find_faces)
    assert pose["present"].all()
    assert (pose["image_xy"][:, NOSE, 0] > 640).all(), "the right half is the one that moves"
    assert not pose["doubtful"].any()


def test_an_interpreters_inset_is_found_in_a_large_picture(
    clips: Path, networks: Networks, find_faces: FaceDetector
) -> None:
    frames = []
    for rgb in clip(clips, "walk_C", 20, 36):
        large = np.full((1080, 1920, 3), (30, 60, 120), np.uint8)
        large[-240:, -320:] = rgb[::2, ::2]
        frames.append(large)
    pose = extract_frames(frames, networks, find_faces)
    assert pose["present"].all()
    assert (pose["image_xy"][:, NOSE] > (1600, 840)).all()


def test_when_the_signer_leaves_the_rest_of_the_video_is_absent(
    clips: Path, networks: Networks, find_faces: FaceDetector
) -> None:
    signing = clip(clips, "yes_A", 20, 36)
    pose = extract_frames(signing + [np.full_like(signing[0], 200)] * 16, networks, find_faces)
    assert pose["present"][:16].all()
    assert not pose["present"][17:].any()
    absent = ~pose["present"]
    assert np.isnan(pose["landmarks"][absent]).all()
    assert (pose["confidence"][absent] == 0).all()


def test_cars_are_not_signers(clips: Path, networks: Networks, find_faces: FaceDetector) -> None:
    """Every second frame of a car park seen from above."""
    frames = [f.rgb for f in islice(read_frames(clips / "robust_no_person_cars.mp4", None), 0, None, 2)]
    with pytest.raises(VideoError, match="no person was found in any of") as caught:
        extract_frames(frames, networks, find_faces)
    assert caught.value.reason == "no_signer"


def test_a_signer_too_small_is_a_reason_with_the_size(
    clips: Path, networks: Networks, find_faces: FaceDetector
) -> None:
    video = [Frame(i, i / 25, rgb) for i, rgb in enumerate(clip(clips, "yes_A", 0, 16))]
    with pytest.raises(VideoError, match=r"shoulders 1\d\d px apart \(median\), at least 400 are needed") as caught:
        list(extract_video(lambda fps: video[:: 8 if fps else 1], networks, find_faces, min_shoulder_px=400))
    assert caught.value.reason == "signer_too_small"


def test_a_signer_who_fills_a_short_video_stays_without_a_face() -> None:
    """A run of 3 of 3 frames, and one of 3 of 4, which might be a mistake of the detector."""
    nowhere = np.zeros(4, bool)
    assert keep_runs(np.ones(3, bool), nowhere[:3], 16).all()
    assert not keep_runs(np.array([True, True, True, False]), nowhere, 16).any()


def test_a_backend_goes_frame_by_frame(clips: Path, networks: Networks, find_faces: FaceDetector) -> None:
    video = [Frame(i, i / 25, rgb) for i, rgb in enumerate(clip(clips, "yes_A", 20, 30))]
    (pose,) = extract_video(
        lambda fps: video[::8] if fps else video, EngineBackend(networks), find_faces, min_shoulder_px=24
    )
    assert pose["present"].all()
    assert set(pose["left_hand"]) == {"seen"}


def test_long_videos_come_in_pieces_without_gaps(
    networks: Networks, find_faces: FaceDetector, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract, "CHUNK", 7)
    video = [Frame(i, i / 25, rgb) for i, rgb in enumerate(clip(clips, "yes_A", 0, 16))]
    pieces = list(extract_video(lambda fps: video[:: 8 if fps else 1], networks, find_faces, min_shoulder_px=24))
    assert [len(piece["frame"]) for piece in pieces] == [7, 7, 2]
    np.testing.assert_array_equal(np.concatenate([piece["frame"] for piece in pieces]), np.arange(16))


# ---------------------------------------------------------------- runs of presence


@pytest.mark.parametrize(
    ("present", "on_face", "kept"),
    [
        ("..###..", ".......", "......."),
        ("..####.", ".......", "..####."),
        ("..###..", "...#...", "..###.."),
        ("##...##", ".......", "......."),
        ("#######", ".......", "#######"),
    ],
)
def test_short_runs_without_a_face_are_no_presence(present: str, on_face: str, kept: str) -> None:
    flags = [np.array([c == "#" for c in text]) for text in (present, on_face, kept)]
    np.testing.assert_array_equal(keep_runs(flags[0], flags[1], min_run=4), flags[2])


def test_a_run_may_go_on_beyond_a_piece() -> None:
    present, nowhere = np.array([True, True, False, True, True]), np.zeros(5, bool)
    np.testing.assert_array_equal(keep_runs(present, nowhere, 4, open_ends=(True, False)), [1, 1, 0, 0, 0])
    np.testing.assert_array_equal(keep_runs(present, nowhere, 4, open_ends=(False, True)), [0, 0, 0, 1, 1])


# ---------------------------------------------------------------- stretches of a take


@dataclass(frozen=True)
class Shown:
    frame: Frame


def shown(shots: str) -> list[Shown]:
    """Frames of the shots that the digits name."""
    rgb = np.zeros((1, 1, 3), np.uint8)
    return [Shown(Frame(i, i / 25, rgb, shot=int(shot))) for i, shot in enumerate(shots)]


@pytest.mark.parametrize("shots", ["", "0", "0" * 29, "0" * 10, "0" * 14 + "1" * 15, "0011111111111111122222"])
def test_stretches_hold_every_frame_once_with_what_is_around_it(shots: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cores of 10 frames at most, with 4 around them, but none of another shot."""
    monkeypatch.setattr(extract, "CHUNK", 10)
    monkeypatch.setattr(extract, "CONTEXT", 4)
    frames = shown(shots)
    found: list[int] = []
    for stretch in stretches(frames):
        indices = [s.frame.index for s in stretch.frames]
        core = indices[stretch.core]
        assert 1 <= len(core) <= 10
        assert len({s.frame.shot for s in stretch.frames}) == 1
        take = [i for i, shot in enumerate(shots) if int(shot) == stretch.frames[0].frame.shot]
        assert set(range(max(core[0] - 4, take[0]), min(core[-1] + 4, take[-1]) + 1)) <= set(indices)
        assert stretch.open_ends == (indices[0] > take[0], indices[-1] < take[-1])
        found += core
    assert found == list(range(len(shots)))


# ---------------------------------------------------------------- decoding ahead


def test_items_come_in_order_and_only_so_far_ahead() -> None:
    made: list[int] = []

    def produce() -> Iterator[int]:
        for i in range(100):
            made.append(i)
            yield i

    items = ahead(produce(), size=4)
    assert next(items) == 0
    time.sleep(0.2)
    assert len(made) <= 7
    assert list(items) == list(range(1, 100))


def test_an_error_while_decoding_comes_after_the_good_frames() -> None:
    def produce() -> Iterator[int]:
        yield from range(3)
        raise VideoError("undecodable", "the rest is damaged")

    items = ahead(produce())
    assert list(islice(items, 3)) == [0, 1, 2]
    with pytest.raises(VideoError, match="the rest is damaged"):
        next(items)


def test_a_consumer_that_stops_ends_the_thread_and_closes_the_video() -> None:
    closed = threading.Event()

    def produce() -> Iterator[int]:
        try:
            yield from range(10**9)
        finally:
            closed.set()

    items = ahead(produce(), size=2)
    next(items)
    items.close()
    assert closed.wait(5)
