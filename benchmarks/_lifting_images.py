"""Images of the lifter for docs/lifter.md: reliability of confidence, real signers from the side, worst frames."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from signrep_core.bench.rendered_signers import Video, real_clips, rendered
from signrep_core.body.forward import forward_kinematics
from signrep_core.lift.lift_video import WITHIN_M, lift
from signrep_core.lift.lifter import load_lifter
from signrep_core.lift.real_motion import read_kinect, read_leap
from signrep_core.lift.retarget import Motion, fit_motion
from signrep_core.lift.solver import open_solver
from signrep_core.skeleton import (
    ARMS,
    BODY,
    BODY_EDGES,
    EARS,
    FINGER_EDGES,
    FINGERTIPS,
    HANDS,
    HEAD,
    JOINTS,
    MIN_CONFIDENCE,
    N_HAND_JOINTS,
    N_JOINTS,
    NOSE,
    SHOULDERS,
    SIDES,
)
from signrep_core.store.files import atomic_path
from signrep_core.video.reader import read_frames

FOLDER = Path("results/benchmarks/lifting")  # of rendered videos and poses, kept
CLIPS = Path(__file__).parents[2] / "shared" / "clips"
MOTION = CLIPS.parent / "motion"
IMAGES = Path(__file__).parents[1] / "docs" / "images"
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#8a929c"  # distinct for colour-blind readers
SHOWN = ("asl_book_C", "asl_help_A", "asl_school_C")
SOLVERS = {"closed form": open_solver("closed_form", None, 5), "lifter": open_solver("lifter", None, 5)}
RECORDINGS = 8  # of each set of real motion
WORST = 6
BINS = 10
_FACE = [NOSE, *(JOINTS.index(f"{side}_eye") for side in SIDES), *EARS]
_EDGES = [*(edge for edge in BODY_EDGES if max(edge) < NOSE), *(
    (HANDS[side].start + a, HANDS[side].start + b) for side in SIDES for a, b in FINGER_EDGES
)]  # fmt: skip


def draw() -> None:
    """Draw and write all images."""
    videos = list(rendered("unseen", FOLDER))
    _write(reliability(videos), IMAGES / "lifter_reliability.png")
    _write(failures(videos), IMAGES / "lifter_failures.png")
    shown = [video for video in real_clips(CLIPS, FOLDER) if video.name in SHOWN]
    _write(side_views(shown), IMAGES / "lifter_side_views.png")
    motions = read_leap(MOTION / "hands_leap.npz"), read_kinect(MOTION / "arms_kinect.npz")
    _write(retargeted([_some(motion, RECORDINGS) for motion in motions]), IMAGES / "retargeted_motion.png")


# ---------------------------------------------------------------- confidence
def reliability(videos: list[Video]) -> Figure:
    """Reliability diagram: share of joints with an error within bounds against the confidence."""
    figure = Figure(figsize=(8.6, 4.2), layout="constrained")
    for axes, (name, joints) in zip(figure.subplots(1, 2), _PARTS.items(), strict=True):
        predicted, right = (np.concatenate(values) for values in zip(*(_judge(v, joints) for v in videos), strict=True))
        bins = np.minimum((predicted * BINS).astype(int), BINS - 1)
        counts = np.bincount(bins, minlength=BINS)
        full = counts >= 50
        mean_predicted, mean_right = (
            np.bincount(bins, values, BINS)[full] / counts[full] for values in (predicted, right.astype(float))
        )
        gap = float((np.abs(mean_predicted - mean_right) * counts[full]).sum() / counts[full].sum())
        axes.plot((0, 1), (0, 1), color=GREY, linewidth=1, linestyle="--", label="perfectly calibrated")
        axes.bar(
            (np.arange(BINS) + 0.5) / BINS, counts / counts.sum(), 0.09, color=GREY, alpha=0.35, label="share of joints"
        )
        axes.plot(mean_predicted, mean_right, color=BLUE, marker="o", label="lifter")
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="share of joints within bounds")
        axes.set_title(f"{name}\nmean gap {100 * gap:.1f} points, {len(predicted):,} joints", loc="left", fontsize=10)
        axes.legend(frameon=False, fontsize=8, loc="upper left")
    return figure


_PARTS = {
    f"body: within {100 * WITHIN_M[0]:.0f} cm, from the neck": np.arange(BODY.stop),
    f"hands: within {1000 * WITHIN_M[-1]:.0f} mm, from the wrist": np.r_[tuple(
        np.arange(HANDS[side].start + 1, HANDS[side].stop) for side in SIDES
    )],
}  # fmt: skip


def _judge(video: Video, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Confidences of a video's detected joints, and whether they were within bounds."""
    error = 1e-3 * joint_errors(SOLVERS["lifter"](video.pose).joints(), video)
    seen = (video.pose["confidence"] > 0)[:, joints]
    lifted = lift(load_lifter(), video.pose["image_xy"], video.pose["confidence"])
    predicted = lifted.confidence[:, joints]
    return predicted[seen], (error[:, joints] < WITHIN_M[joints])[seen]


def joint_errors(joints: np.ndarray, video: Video) -> np.ndarray:
    """(T, 61) mm: of the body from the neck, of a hand's joints from its wrist."""
    assert video.truth is not None
    difference = joints - video.truth["camera_joints"]
    for side in SIDES:
        difference[:, HANDS[side]] -= difference[:, HANDS[side].start, None].copy()
    return 1000 * np.linalg.norm(difference, axis=-1)


# ---------------------------------------------------------------- real motion
def retargeted(motions: list[Motion]) -> Figure:
    """The middle frame of each recording from the front and the side: given points, and the skeleton fitted to them."""
    figure = Figure(figsize=(13, 3.2 * len(motions)), layout="constrained")
    grid = figure.subplots(2 * len(motions), RECORDINGS)
    for rows, motion in zip(np.split(grid, len(motions)), motions, strict=True):
        fitted = fit_motion(motion)
        people = np.unique(motion.people, return_inverse=True)[1]
        ends = np.cumsum(motion.lengths)
        for axes, person, t in zip(rows.T, people, ends - motion.lengths // 2, strict=True):
            bones = fitted.body_offsets[person], fitted.hand_offsets[person]
            joints = forward_kinematics(fitted.body[t], *fitted.hands[:, t], *bones)
            given = np.full((N_JOINTS, 3), np.nan)
            seen = [(JOINTS.index(name), k) for k, name in enumerate(motion.names) if name in JOINTS]
            for joint, k in seen:
                given[joint] = motion.points[t, k]
            known = [joint for joint, _ in seen]
            given += (joints[known] - given[known]).mean(0)
            hidden = (
                np.setdiff1d(np.arange(N_JOINTS), known) if len(known) > N_HAND_JOINTS - 1 else slice(BODY.stop, None)
            )
            joints[hidden] = np.nan
            for view, panel in zip(([0, 1], [2, 1]), axes, strict=True):
                _bones(panel, given[:, view], GREY, 3.5)
                _bones(panel, joints[:, view], BLUE, 1.2)
                panel.set(aspect="equal", xticks=[], yticks=[])
                panel.invert_yaxis()
    return figure


def _some(motion: Motion, count: int) -> Motion:
    """Some of the recordings, of different people."""
    taken = np.linspace(0, len(motion.lengths) - 1, count).astype(int) // 7 * 7 + np.arange(count) % 7
    taken = np.sort(np.minimum(taken, len(motion.lengths) - 1))
    parts = np.split(motion.points, np.cumsum(motion.lengths)[:-1])
    return Motion(np.concatenate([parts[k] for k in taken]), motion.names, motion.lengths[taken], motion.people[taken])


# ---------------------------------------------------------------- poses
def side_views(videos: list[Video]) -> Figure:
    """Real signers in the video, and each solver's skeleton from their left."""
    figure = Figure(figsize=(11, 2.7 * len(videos)), layout="constrained")
    grid = figure.subplots(len(videos), 1 + len(SOLVERS))
    for row, video in zip(grid, videos, strict=True):
        frame = _clear_frame(video)
        _photo(row[0], video, frame)
        row[0].set_title(video.name, loc="left", fontsize=9)
        for axes, (solver, solve) in zip(row[1:], SOLVERS.items(), strict=True):
            _skeleton(axes, solve(video.pose).joints()[frame], BLUE)
            axes.set_title(f"{solver}, from the signer's left", loc="left", fontsize=9)
    return figure


def failures(videos: list[Video]) -> Figure:
    """The frames with the largest errors, one of each video: in the image and from the side."""
    measured = ARMS["right"] + ARMS["left"] + FINGERTIPS["right"] + FINGERTIPS["left"]
    worst = []
    for video in videos:
        joints = SOLVERS["lifter"](video.pose).joints()
        error = joint_errors(joints, video)[:, measured].mean(1)
        frame = int(error.argmax())
        worst.append((float(error[frame]), video, frame, joints[frame]))
    worst = sorted(worst, key=lambda found: -found[0])[:WORST]
    figure = Figure(figsize=(10.5, 3.1 * WORST / 2), layout="constrained")
    grid = figure.subplots(WORST // 2, 4).reshape(-1, 2)
    for (left, right), (error, video, frame, joints) in zip(grid, worst, strict=True):
        assert video.truth is not None
        _photo(left, video, frame, video.truth["image_xy"][frame])
        left.set_title(f"{error:.0f} mm off: {_cause(video, frame)}", loc="left", fontsize=8)
        _skeleton(right, video.truth["camera_joints"][frame], GREEN)
        _skeleton(right, joints, ORANGE)
        right.set_title("from the left: truth (green), lifter (orange)", loc="left", fontsize=8)
    return figure


def _cause(video: Video, frame: int) -> str:
    """Describe the detections' error in a frame."""
    assert video.truth is not None
    pose = video.pose
    missing = [side for side in SIDES if not (pose["confidence"][frame, HANDS[side]] > 0).any()]
    if missing:
        return f"{' and '.join(missing)} hand not found"
    places = video.truth["image_xy"][frame]
    width = np.linalg.norm(np.subtract(*places[list(SHOULDERS)]))
    off = {
        f"{side} hand": np.linalg.norm(pose["image_xy"][frame] - places, axis=-1)[HANDS[side]].mean() for side in SIDES
    }
    part = max(off, key=lambda name: off[name])
    return f"{part} seen {100 * off[part] / width:.0f} % off" if off[part] > 0.08 * width else "depth alone"


def _clear_frame(video: Video) -> int:
    """The frame with both hands detected that are highest."""
    pose = video.pose
    seen = np.stack([(pose["confidence"][:, HANDS[side]] >= MIN_CONFIDENCE).all(1) for side in SIDES], 1)
    height = pose["image_xy"][:, [HANDS[side].start for side in SIDES], 1]
    score = np.where(seen.all(1), height.max(1), np.inf)
    return int(score.argmin() if np.isfinite(score).any() else np.nan_to_num(height, nan=1e9).min(1).argmin())


def _photo(axes: Axes, video: Video, frame: int, truth: np.ndarray | None = None) -> None:
    """Draw a frame with its detections, and with the true joints if known."""
    number = int(video.pose["frame"][frame])
    image = next(seen.rgb for seen in read_frames(str(video.path), 25.0) if seen.index == number)
    axes.imshow(image if truth is not None else _without_face(image, video.pose["image_xy"][frame]))
    if truth is not None:
        _bones(axes, truth, GREEN, 1.0)
    seen = np.where((video.pose["confidence"][frame] > 0)[:, None], video.pose["image_xy"][frame], np.nan)
    _bones(axes, seen, ORANGE, 1.0)
    axes.set(xlim=(0, image.shape[1]), ylim=(image.shape[0], 0))
    axes.axis("off")


def _without_face(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Pixelate the face of a real person."""
    face = places[HEAD]
    middle, reach, step = face.mean(0), 1.6 * np.ptp(face[:, 0]), 10
    x0, y0 = (max(int(low) // step * step, 0) for low in middle - reach * np.array([0.8, 1.1]))
    x1, y1 = (int(high) // step * step for high in middle + reach * np.array([0.8, 0.9]))
    blurred = image.copy()
    part = blurred[y0:y1, x0:x1]
    coarse = part[step // 2 :: step, step // 2 :: step].repeat(step, 0).repeat(step, 1)
    part[: coarse.shape[0], : coarse.shape[1]] = coarse[: part.shape[0], : part.shape[1]]
    return blurred


def _skeleton(axes: Axes, joints: np.ndarray, colour: str) -> None:
    """Draw joints (61, 3) from the signer's left, with the camera on the left of the image."""
    _bones(axes, joints[:, [2, 1]], colour, 1.4)
    axes.set(xlim=(-0.75, 0.45), ylim=(0.62, -0.42), aspect="equal", xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_color("#e1e4e8")


def _bones(axes: Axes, places: np.ndarray, colour: str, width: float) -> None:
    """Draw arms, trunk, face and hands of places (61, 2)."""
    for edge in _EDGES:
        axes.plot(*places[list(edge)].T, color=colour, linewidth=width, alpha=0.9)
    axes.scatter(*places[_FACE].T, color=colour, s=5, zorder=3)


def _write(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    with atomic_path(path) as partial:
        figure.savefig(partial, format="png", dpi=110)


if __name__ == "__main__":
    draw()
