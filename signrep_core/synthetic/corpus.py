"""Corpora of synthetic signers: planned from a seed, rendered video by video, with the truth as a table.

A plan is a list of `Performance`s and a pure function of its arguments, so that a workflow knows its videos before any
is rendered. Each video is rendered on its own and atomically: rendering can run on many processes or machines, and
resumes where it stopped. Splits share no signer.

Three kinds: `isolated`, one sign per video; `sentences`, a gloss sequence with an English-like text; `pretraining`,
long unlabelled signing.
"""

import csv
import hashlib
import io
import json
import logging
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from signrep_core.config import Config, Synthetic
from signrep_core.errors import ConfigError, SignRepError
from signrep_core.progress import Progress
from signrep_core.skeleton import SIDES
from signrep_core.sources.sheet import COLUMNS, Row, Sheet, open_sheet
from signrep_core.store.files import atomic_path, write_text
from signrep_core.store.schemas import TRUTH
from signrep_core.store.tables import TableWriter
from signrep_core.synthetic.perform import NO_GLOSS, Motion, perform
from signrep_core.synthetic.signer import Scene, Signer, make_scene, make_signer, project
from signrep_core.synthetic.signs import ORDER, make_sentence
from signrep_core.workers import Died, Send, Work, run_tasks

if TYPE_CHECKING:
    from signrep_core.synthetic.surface import Surface

Kind = Literal["isolated", "sentences", "pretraining"]
DATASETS: Final[dict[Kind, str]] = {"isolated": "synthetic", "sentences": "sentences", "pretraining": "synthetic"}
RENDERER_VERSION: Final = 1  # raise it when images or motion change: videos are then rendered again
SIGNS_PER_STREAM: Final = 10  # of a pretraining video
FPS: Final = 25.0
CRF: Final = 18
BATCH: Final = 32  # frames rendered at once on a device
NOISE: Final = 1.5 / 255  # standard deviation of the sensor's noise
WORKER: Final = ("signrep_core.synthetic.corpus:prepare_render",)
STALLED_S: Final = 3600.0  # time limit of one video
_PEOPLE, _VIDEOS = 1, 2  # streams of randomness

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Performance:
    """A video to render: its signer, its signs, and the seed of everything else."""

    video_id: str
    split: str
    signer: str
    signer_seed: int
    seed: int
    glosses: tuple[str, ...]
    text: str
    kind: Kind
    size: int
    fps: float

    @property
    def gloss(self) -> str:
        """The gloss in the sheet: all glosses in order, empty for unlabelled signing."""
        return "" if self.kind == "pretraining" else " ".join(self.glosses)


class Act(NamedTuple):
    """Everything that a video is rendered from."""

    signer: Signer
    scene: Scene
    motion: Motion


def plan_corpus(
    *, signers: int, glosses: int, takes: int, seed: int, size: int, kind: Kind = "isolated"
) -> list[Performance]:
    """Plan the videos of a corpus, signer by signer, without rendering any.

    Args:
        signers: people, divided among train, val and test.
        glosses: number of `signs.ORDER` that are used.
        takes: performances of each gloss by each signer; of the other kinds, videos of each signer.
        seed: determines everything; other seeds give other people.
        size: side of the square frames in pixels.

    Raises:
        ConfigError: a number is out of range, or the grammar needs more glosses.
    """
    if not (signers >= 1 and takes >= 1 and size >= 32 and 1 <= glosses <= len(ORDER)):
        raise ConfigError(
            f"synthetic corpus: expected signers >= 1, takes >= 1, size >= 32 and 1 <= glosses <= {len(ORDER)}, "
            f"got {signers}, {takes}, {size}, {glosses}"
        )
    plan: list[Performance] = []
    for person, split in enumerate(_splits(signers)):
        signer_seed = _number(seed, _PEOPLE, person)
        for i in range(takes * (glosses if kind == "isolated" else 1)):
            number = _number(seed, _VIDEOS, person, i)
            names, text = _content(kind, i, glosses, number)
            label = f"{names[0].lower()}-{i // glosses}" if kind == "isolated" else f"{kind}-{i:03d}"
            plan.append(
                Performance(
                    f"s{person:03d}-{label}", split, f"s{person:03d}", signer_seed, number, names, text, kind, size, FPS
                )
            )
    return plan


def plan_demo(corpus: Synthetic, seed: int) -> list[Performance]:
    """Plan the videos of the embedded demo: isolated signs and sentences of the same people.

    Raises:
        ConfigError: as `plan_corpus`.
    """
    plan = partial(plan_corpus, signers=corpus.signers, seed=seed, size=corpus.size)
    signs = plan(glosses=corpus.glosses, takes=corpus.takes)
    if not corpus.sentences:
        return signs
    return signs + plan(glosses=corpus.sentence_glosses, takes=corpus.sentences, kind="sentences")


def planned_rows(config: Config) -> list[Row]:
    """The rows of `planned_sheet`."""
    return planned_sheet(config).rows


def planned_sheet(config: Config) -> Sheet:
    """The user's sheet, or that of the embedded demo, which needs no rendering.

    Raises:
        SheetError: the sheet cannot be read, or no setting names a row's split.
        ConfigError: the demo cannot be planned as configured.
    """
    if config.sheet is not None:
        return open_sheet(config.sheet, config.splits)
    notes = ["no sheet is given: the synthetic demo is used; for your own videos add --config sheet=videos.tsv"]
    return Sheet(sheet_rows(plan_demo(config.synthetic, config.seed)), notes)


def sheet_rows(performances: Sequence[Performance], folder: str | Path = "videos") -> list[Row]:
    """The rows of the corpus's sheet, with videos in `folder`."""
    return [_row(performance, folder) for performance in performances]


def render_video(performance: Performance, path: str | Path, device: str | None = None, act: Act | None = None) -> int:
    """Render one video as an MP4 (H.264), atomically; returns its number of frames.

    With `device` (such as `cuda`) torch renders there, BATCH frames at a time; otherwise numpy does.
    `act` replaces the performance's own signer, scene and motion.
    """
    import av

    from signrep_core.synthetic.anatomy import build_surface

    signer, scene, motion = act or make_act(performance)
    surface = build_surface(signer)
    noise = np.random.default_rng([performance.seed, 31])
    with atomic_path(path) as partial, av.open(str(partial), "w") as container:
        container.metadata["comment"] = _digest(performance)
        stream = container.add_stream("libx264", rate=round(performance.fps))
        stream.width = stream.height = performance.size
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(CRF), "preset": "veryfast", "threads": "1"}
        for frame in _render_frames(surface, scene, motion, performance.size, device):
            grain = noise.normal(0, NOISE, frame.shape[:2]).astype(np.float32)
            values = (np.clip(frame + grain[..., None], 0, 1) * 255 + 0.5).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(values, format="rgb24")))
        container.mux(stream.encode())
    return len(motion)


def write_truth(
    performances: Sequence[Performance], path: str | Path, provenance: Mapping[str, str] | None = None
) -> None:
    """Write the true angles, bones and joints of every frame (store.schemas.TRUTH), one row group per video."""
    with TableWriter(path, TRUTH, provenance) as writer:
        for performance in performances:
            writer.write(true_columns(performance))


def true_columns(performance: Performance, act: Act | None = None) -> dict[str, Any]:
    """True angles, bones and joints of one video as columns of store.schemas.TRUTH; `act` as in `render_video`."""
    from signrep_core.body.kinematics import forward_kinematics

    signer, scene, motion = act or make_act(performance)
    n = len(motion)
    joints = forward_kinematics(motion.body, motion.right, motion.left, signer.body_offsets, signer.hand_offsets)
    camera = joints @ scene.view.T
    return {
        "video_id": [performance.video_id] * n,
        "frame": np.arange(n, dtype=np.int32),
        "time_s": np.arange(n) / motion.fps,
        "body_angles": motion.body,
        "right_angles": motion.right,
        "left_angles": motion.left,
        "body_offsets": np.broadcast_to(signer.body_offsets, (n, len(signer.body_offsets))),
        "hand_offsets": np.broadcast_to(signer.hand_offsets, (n, len(signer.hand_offsets))),
        "joints": joints,
        "camera_joints": camera,
        "image_xy": project(scene, camera, performance.size),
        **{f"{side}_signing": motion.signing[side] for side in SIDES},
        "gloss": [performance.glosses[k] if k != NO_GLOSS else "" for k in motion.gloss],
    }


def write_corpus(out: str | Path, plan: Sequence[Performance], processes: int = 1, device: str | None = None) -> None:
    """Write a whole corpus to a folder: videos/*.mp4, truth.parquet and, last, the sheet videos.tsv.

    Existing videos are kept: call it again to resume after an interruption.
    """
    out = Path(out)
    render_videos(plan, out / "videos", processes=processes, device=device)
    write_truth(plan, out / "truth.parquet")
    write_corpus_sheet(plan, out / "videos.tsv", "videos")


def render_videos(
    performances: Sequence[Performance], folder: str | Path, *, processes: int = 1, device: str | None = None
) -> None:
    """Render the videos that `folder` does not hold yet, `processes` at a time, with progress and ETA."""
    folder = Path(folder)
    missing = [performance for performance in performances if not is_rendered(performance, folder)]
    if len(missing) < len(performances):
        _log.info("%s: %d of %d videos are there already", folder, len(performances) - len(missing), len(performances))
    tasks = [{"performance": to_json(one), "path": str(video_path(one, folder)), "device": device} for one in missing]
    with Progress("synthesize", sum(map(count_frames, missing))) as progress:
        results = run_tasks(
            WORKER, tasks, threads=processes, on_frames=lambda _, frames: progress.advance(frames), stalled_s=STALLED_S
        )
        with closing(results):
            for number, (task, result) in enumerate(zip(tasks, results, strict=True), 1):
                if isinstance(result, Died):
                    raise SignRepError(f"{task['path']}: the video could not be rendered: its process {result.how}")
                progress.advance(0, note=f"{number}/{len(missing)} videos")


def prepare_render(send: Send) -> Work:
    """Return the function of a worker process that renders one video, in one thread.

    Sums over several threads differ in their last bits, and equal performances should give equal videos.
    """
    import cv2

    cv2.setNumThreads(1)

    def work(task: dict[str, Any]) -> None:
        performance = from_json(task["performance"])
        try:
            send({"frames": render_video(performance, task["path"], task["device"])})
        except Exception as error:
            raise SignRepError(
                f"{task['path']}: video {performance.video_id!r} could not be rendered: {type(error).__name__}: "
                f"{error}\n{traceback.format_exc()}"
            ) from error

    return work


def write_corpus_sheet(performances: Sequence[Performance], path: str | Path, folder: str | Path) -> None:
    """Write the sheet, which names videos in `folder`."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(sheet_rows(performances, folder))
    write_text(path, text.getvalue())


def video_path(performance: Performance, folder: str | Path) -> Path:
    """Path of a video in the folder of videos."""
    return Path(folder) / f"{performance.video_id}.mp4"


def is_rendered(performance: Performance, folder: str | Path) -> bool:
    """Whether the folder holds the video, of the same seed and size and version of the renderer."""
    import av

    try:
        with av.open(str(video_path(performance, folder))) as container:
            return container.metadata.get("comment") == _digest(performance)
    except (OSError, av.FFmpegError):
        return False


def _digest(performance: Performance) -> str:
    text = json.dumps({"renderer": RENDERER_VERSION, **to_json(performance)}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def count_frames(performance: Performance) -> int:
    """Number of frames of the video; nothing is rendered."""
    return len(make_act(performance).motion)


def to_json(performance: Performance) -> dict[str, Any]:
    """A performance as a dict."""
    return asdict(performance)


def from_json(values: dict[str, Any]) -> Performance:
    """The performance of a dict from `to_json`."""
    return Performance(**{**values, "glosses": tuple(values["glosses"])})


def _row(performance: Performance, folder: str | Path) -> Row:
    return Row(
        video_id=performance.video_id,
        path=str(video_path(performance, folder)),
        dataset=DATASETS[performance.kind],
        split=performance.split,
        gloss=performance.gloss,
        signer=performance.signer,
        text=performance.text,
    )


def _splits(signers: int) -> list[str]:
    """The split of each signer: about a quarter test, an eighth val, at least one of each where there are three."""
    test = max(1, round(signers / 4)) if signers > 1 else 0
    val = max(1, round(signers / 8)) if signers > 2 else 0
    return ["train"] * (signers - val - test) + ["val"] * val + ["test"] * test


def _number(*key: int) -> int:
    """A random number determined by the key."""
    return int(np.random.SeedSequence(key).generate_state(1)[0])


def _content(kind: Kind, i: int, glosses: int, number: int) -> tuple[tuple[str, ...], str]:
    """Glosses and text of a signer's i-th video."""
    rng = np.random.default_rng([number, 32])
    if kind == "isolated":
        return (ORDER[i % glosses],), ""
    if kind == "sentences":
        return make_sentence(rng, frozenset(ORDER[:glosses]))
    return tuple(ORDER[k] for k in rng.integers(0, glosses, SIGNS_PER_STREAM)), ""


@lru_cache(maxsize=4)
def make_act(performance: Performance) -> Act:
    """The signer, the scene and the motion of a performance: all that follows from its seeds."""
    signer = make_signer(performance.signer_seed)
    scene = make_scene(performance.seed, signer)
    return Act(signer, scene, perform(signer, performance.glosses, performance.seed, performance.fps))


def _render_frames(
    surface: "Surface", scene: Scene, motion: Motion, size: int, device: str | None
) -> Iterator[NDArray[np.float32]]:
    """Render the frames of a video one by one, (size, size, 3) sRGB in 0..1; on a torch device in batches."""
    from signrep_core.synthetic.render import Expression, backdrop, render
    from signrep_core.synthetic.surface import Pose, pose_signer

    def array(values: Any) -> Any:
        values = np.asarray(values, np.float32)
        if device is None:
            return values
        import torch

        return torch.from_numpy(values).to(device)

    wall = array(backdrop(scene, size))
    pose = pose_signer(surface.signer, array(motion.body), array(motion.right), array(motion.left))
    face = (array(motion.lids), array(motion.mouth), array(motion.brows))
    batch = 1 if device is None else BATCH
    for start in range(0, len(motion), batch):
        now = slice(start, start + batch)
        part = Pose(*(values[now] for values in pose))
        rendered = render(surface, part, Expression(*(values[now] for values in face)), scene, wall, size)
        yield from rendered if device is None else rendered.cpu().numpy()
