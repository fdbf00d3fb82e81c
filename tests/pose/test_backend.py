"""Both engines behind the backend interface: the same results as the public solution, with scores."""

import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from signrep_core.errors import SignRepError
from signrep_core.pose.backend import EngineBackend, HolisticSolution, HolisticTask, open_backend, quiet_stderr
from signrep_core.pose.networks import Networks
from signrep_core.skeleton import MEDIAPIPE_POSE
from signrep_core.video.reader import read_frames


def test_results_are_those_of_the_public_solution(clips: Path, holistic: HolisticSolution) -> None:
    """Leaving out the face mesh changes nothing else: a check against MediaPipe's own class, frame by frame."""
    from mediapipe.python.solutions.holistic import Holistic

    frames = [f.rgb for f in islice(read_frames(clips / "asl_walk_C.mkv"), 30, 36)]
    holistic.reset()
    with quiet_stderr(), Holistic(model_complexity=1, refine_face_landmarks=False) as public:
        for rgb in frames:
            ours, theirs = holistic(rgb, 0.0), public.process(rgb)
            assert ours is not None
            points = theirs.pose_landmarks.landmark
            xy = [(points[i].x * 640, points[i].y * 480) for i in MEDIAPIPE_POSE]
            np.testing.assert_allclose(ours.body_xy, xy, atol=0.5)
            metres = theirs.pose_world_landmarks.landmark
            np.testing.assert_allclose(
                ours.body_world, [(metres[i].x, metres[i].y, metres[i].z) for i in MEDIAPIPE_POSE], atol=2e-3
            )
            for hand, landmarks in zip(
                ours.hand_xyz, (theirs.right_hand_landmarks, theirs.left_hand_landmarks), strict=True
            ):
                assert (landmarks is None) == np.isnan(hand).all()
                if landmarks is not None:
                    expected = [(p.x * 640, p.y * 480, p.z * 640) for p in landmarks.landmark]
                    np.testing.assert_allclose(hand, expected, atol=0.5)


def test_both_engines_give_the_same_person(clips: Path, holistic: HolisticSolution, networks: Networks) -> None:
    frames = [f.rgb for f in islice(read_frames(clips / "asl_yes_A.mkv"), 20, 24)]
    holistic.reset()
    engine = EngineBackend(networks)
    for rgb in frames:
        ours, theirs = engine(rgb, 0.0), holistic(rgb, 0.0)
    assert ours is not None
    assert theirs is not None
    np.testing.assert_allclose(ours.body_xy, theirs.body_xy, atol=1.5)
    np.testing.assert_allclose(ours.body_world, theirs.body_world, atol=0.01)
    np.testing.assert_allclose(ours.visibility, theirs.visibility, atol=0.05)
    np.testing.assert_allclose(ours.hand_xyz[..., :2], theirs.hand_xyz[..., :2], atol=5)
    np.testing.assert_allclose(ours.hand_presence, theirs.hand_presence, atol=0.1)
    np.testing.assert_allclose(ours.handedness, theirs.handedness, atol=0.1)
    assert engine(np.zeros_like(rgb), 0.0) is None


def test_the_same_frames_give_the_same_pose_after_a_reset(clips: Path, holistic: HolisticSolution) -> None:
    frames = [f.rgb for f in islice(read_frames(clips / "asl_yes_A.mkv"), 4)]

    def run() -> list[np.ndarray]:
        holistic.reset()
        return [d.body_xy for rgb in frames if (d := holistic(rgb, 0.0)) is not None]

    np.testing.assert_allclose(run(), run(), atol=0.5)  # pixels


def test_hands_come_with_presence_and_side(clips: Path, holistic: HolisticSolution) -> None:
    """In asl_walk_C both hands are in full view in frame 53."""
    holistic.reset()
    for frame in islice(read_frames(clips / "asl_walk_C.mkv"), 44, 54):
        detection = holistic(frame.rgb, frame.time_s)
    assert detection is not None
    assert (detection.hand_presence > 0.8).all()
    assert (detection.handedness > 0.6).all()
    right, left = detection.hand_xyz[:, 0, 0]
    assert right < left, "the signer's right hand is on the picture's left"


def test_an_empty_frame_has_no_detection(holistic: HolisticSolution) -> None:
    holistic.reset()
    assert holistic(np.full((120, 160, 3), 128, np.uint8), 0.0) is None


def test_a_part_of_a_picture_and_a_read_only_one_are_accepted(holistic: HolisticSolution) -> None:
    rgb = np.zeros((240, 320, 3), np.uint8)
    rgb.flags.writeable = False
    assert holistic(rgb[20:200, 31:300], 0.0) is None


def test_a_missing_or_wrong_task_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SignRepError, match=r"pose\.model: no file at .*none\.task; give `mediapipe`, or"):
        open_backend("mediapipe", str(tmp_path / "none.task"))
    wrong = tmp_path / "wrong.task"
    wrong.write_text("not a model")
    with pytest.raises(SignRepError, match=r"wrong\.task is not a holistic landmarker model of mediapipe 0\.10"):
        HolisticTask(str(wrong))


def test_the_task_api_that_the_backend_is_written_for_exists() -> None:
    from mediapipe.tasks.python import vision

    names = set(vision.HolisticLandmarkerResult.__dataclass_fields__)
    assert {"pose_landmarks", "pose_world_landmarks", "left_hand_landmarks", "right_hand_landmarks"} <= names
    assert callable(vision.HolisticLandmarker.detect_for_video)


def test_mediapipe_is_not_imported_before_a_backend_is_made() -> None:
    code = "import sys, signrep_core.pose.shard; sys.exit('mediapipe' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_chatter_is_dropped_and_errors_are_not(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_stderr():
        os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n")
        os.write(2, b"W0000 00:00:1 1 inference_feedback_manager.cc:114] Feedback manager requires a model\n")
        os.write(2, b"E0000 00:00:1 1 graph.cc:1] something broke\n")
    assert capfd.readouterr().err == "E0000 00:00:1 1 graph.cc:1] something broke\n"


def test_a_backend_opens_without_output(capfd: pytest.CaptureFixture[str]) -> None:
    HolisticSolution().reset()
    assert capfd.readouterr().err == ""
