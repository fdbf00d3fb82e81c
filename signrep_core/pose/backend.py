"""Pose backends: one signer's body and hands in one picture, by the networks of MediaPipe Holistic.

A backend is an object with `name`, `reset()` (call it before the first frame of a video and wherever the picture's
content jumps) and `backend(rgb, time_s) -> Detection | None`. MediaPipe is imported only when a backend needs it.

- `EngineBackend`: the networks under our own control (`pose.engine`), the default.
- `HolisticSolution`, the reference: the graph and models that the mediapipe 0.10.21 wheel carries, complexity 1.
  Its face mesh, 468 points that no joint of ours is taken from, and its segmentation mask are cut out (the other
  outputs stay bit-identical, frames per core-second rise); its hands' presence scores and handedness are read too.
- `HolisticTask`, the reference for a `.task` file: the newer API, which has no such scores.
"""

import contextlib
import logging
import os
import re
import shutil
import sys
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from signrep_core.config import PoseEngine
from signrep_core.errors import SignRepError
from signrep_core.extras import import_optional
from signrep_core.pose.engine import Engine, Landmarks
from signrep_core.pose.models import NETWORKS, WHEEL, check_task_file
from signrep_core.pose.networks import Networks
from signrep_core.pose.prune import without_mask
from signrep_core.pose.serving import find_networks
from signrep_core.skeleton import MEDIAPIPE_POSE, N_HAND_JOINTS, SIDES

log = logging.getLogger(__name__)

MIN_DETECTION, MIN_TRACKING = 0.5, 0.5
_GRAPH = "mediapipe/modules/holistic_landmark/holistic_landmark_cpu.binarypb"
_FACE_NODES = ("facelandmarksfromposecpu", "SplitNormalizedLandmarkListCalculator")  # only the face mesh needs them
_HAND_STREAM = "handlandmarksleftandrightcpu__handlandmarksfromposecpu_{}__handlandmarkcpu__"
_HAND_NUMBER = {"left": 1, "right": 2}  # the hands' places in the expanded graph
# MediaPipe calls a hand as a mirror (a selfie) shows it: in our upright pictures a left hand is its "Right".
_MIRRORED = {"left": "Right", "right": "Left"}
_BLANK = np.zeros((64, 64, 3), np.uint8)  # a first picture, since the graph opens its models (and chatters) beside it
_NOISE = re.compile(
    rb"^(INFO: |WARNING: All log messages before absl|[IW]\d{4} .*(feedback_manager|landmark_projection|gl_context))"
)
SIDE_INPUTS: Final = {  # of Holistic's graph
    "model_complexity": 1,
    "smooth_landmarks": True,
    "enable_segmentation": False,
    "smooth_segmentation": False,
    "use_prev_landmarks": True,
}


@dataclass(frozen=True)
class Detection:
    """One person in one picture; NaN for a hand that was not seen."""

    body_xy: NDArray[np.float32]  # (19, 2) pixels, in the order of skeleton.BODY_JOINTS
    body_world: NDArray[np.float32]  # (19, 3) metres
    visibility: NDArray[np.float32]  # (19,)
    hand_xyz: NDArray[np.float32]  # (2, 21, 3) pixels, in the order of skeleton.SIDES
    hand_presence: NDArray[np.float32]  # (2,)
    handedness: NDArray[np.float32]  # (2,) probability that the hand is of its side

    def shifted(self, x: float, y: float) -> "Detection":
        """The same in a picture whose origin lies (x, y) pixels further up and left."""
        if not x and not y:
            return self
        offset = np.array([x, y, 0], np.float32)
        return Detection(
            self.body_xy + offset[:2],
            self.body_world,
            self.visibility,
            self.hand_xyz + offset,
            self.hand_presence,
            self.handedness,
        )


class Backend(Protocol):
    """Interface of a pose detector that tracks a signer from frame to frame."""

    name: str

    def reset(self) -> None:
        """Forget the frames before."""

    def __call__(self, rgb: NDArray[np.uint8], time_s: float) -> Detection | None:
        """The person in an RGB picture (H, W, 3), or None."""


def open_backend(engine: PoseEngine = "own", model: str = WHEEL, place: str = "cpu") -> Backend:
    """Open a backend.

    Args:
        engine: `own`, or `mediapipe` for its own graph, which runs on the CPU of the worker.
        model: `mediapipe` for the networks of the installed wheel, or the path of a holistic `.task` file.
        place: of the networks, as `serving.place_networks` gives it.

    Raises:
        SignRepError: a package, the model file or the device cannot be used.
    """
    if engine == "own":
        return EngineBackend(find_networks(model, place))
    return HolisticSolution() if model == WHEEL else HolisticTask(model)


class EngineBackend:
    """The networks of Holistic under our own control, for one video."""

    def __init__(self, networks: Networks) -> None:
        self.name = f"signrep engine, {networks.name}"
        self._engine = Engine(networks)

    def reset(self) -> None:
        self._engine.reset()

    def __call__(self, rgb: NDArray[np.uint8], time_s: float) -> Detection | None:
        return detection_of(self._engine.step([rgb]), 0)


def detection_of(found: Landmarks, lane: int) -> Detection | None:
    """The person in a lane, in our order of joints."""
    if np.isnan(found.body[lane, 0, 0]):
        return None
    joints = list(MEDIAPIPE_POSE)
    return Detection(
        found.body[lane, joints, :2].astype(np.float32),
        found.world[lane, joints].astype(np.float32),
        found.visibility[lane, joints].astype(np.float32),
        found.hands[lane].astype(np.float32),
        found.presence[lane].astype(np.float32),
        found.own_side[lane].astype(np.float32),
    )


class HolisticSolution:
    """MediaPipe's Holistic solution from the wheel, one thread per model."""

    def __init__(self) -> None:
        folder = tempfile.mkdtemp()
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        solution_base = import_mediapipe("mediapipe.python.solution_base")
        version = import_mediapipe("mediapipe").__version__
        self.name, self._warm = f"mediapipe {version} holistic", False
        proto = solution_base.PacketDataType.PROTO
        self._scores = {side: _HAND_STREAM.format(n) + "hand_presence_score" for side, n in _HAND_NUMBER.items()}
        self._handedness = {side: _HAND_STREAM.format(n) + "handedness" for side, n in _HAND_NUMBER.items()}
        outputs = ["pose_landmarks", "pose_world_landmarks", *(f"{side}_hand_landmarks" for side in SIDES)]
        try:
            with quiet_stderr():
                self._graph = solution_base.SolutionBase(
                    graph_config=reference_graph(Path(folder)),
                    side_inputs=SIDE_INPUTS,
                    outputs=[*outputs, *self._scores.values(), *self._handedness.values()],
                    stream_type_hints=dict.fromkeys(self._handedness.values(), proto),
                )
                self._graph.process({"image": _BLANK})
        except (RuntimeError, ValueError, KeyError) as error:
            raise SignRepError(
                f"mediapipe {version}: its Holistic graph is not the one of 0.10.21 ({error}); "
                "install mediapipe==0.10.21, or give pose.model the path of a holistic .task file"
            ) from error

    def reset(self) -> None:
        with quiet_stderr():
            self._graph.reset()
            self._graph.process({"image": _BLANK})

    def __call__(self, rgb: NDArray[np.uint8], time_s: float) -> Detection | None:
        with contextlib.nullcontext() if self._warm else quiet_stderr():  # the first person found sets off more chatter
            result = self._graph.process({"image": np.ascontiguousarray(rgb)})
        self._warm = self._warm or result.pose_landmarks is not None
        if result.pose_landmarks is None or result.pose_world_landmarks is None:
            return None
        hands = {side: getattr(result, f"{side}_hand_landmarks") for side in SIDES}
        return _detection(
            rgb.shape,
            result.pose_landmarks.landmark,
            result.pose_world_landmarks.landmark,
            {side: hand and hand.landmark for side, hand in hands.items()},
            {side: getattr(result, self._scores[side]) for side in SIDES},
            {side: _own_side(side, getattr(result, self._handedness[side])) for side in SIDES},
        )


class HolisticTask:
    """MediaPipe's HolisticLandmarker with the models of a `.task` file."""

    def __init__(self, model: str) -> None:
        check_task_file(model)
        self._mediapipe = import_mediapipe("mediapipe")
        vision = self._mediapipe.tasks.vision
        self.name = f"mediapipe {self._mediapipe.__version__} {Path(model).name}"
        self._class = vision.HolisticLandmarker
        self._options = vision.HolisticLandmarkerOptions(
            base_options=self._mediapipe.tasks.BaseOptions(model_asset_path=model),
            running_mode=vision.RunningMode.VIDEO,
            min_pose_detection_confidence=MIN_DETECTION,
            min_pose_landmarks_confidence=MIN_TRACKING,
        )
        self._model, self._landmarker, self._last_ms = model, None, -1
        self.reset()

    def reset(self) -> None:
        if self._landmarker is not None:
            self._landmarker.close()
        try:
            with quiet_stderr():
                self._landmarker = self._class.create_from_options(self._options)
        except (RuntimeError, ValueError) as error:
            raise SignRepError(
                f"pose.model: {self._model} is not a holistic landmarker model of mediapipe "
                f"{self._mediapipe.__version__} ({str(error).splitlines()[0]}); give `mediapipe` or another file"
            ) from error
        self._last_ms = -1

    def __call__(self, rgb: NDArray[np.uint8], time_s: float) -> Detection | None:
        image = self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(rgb))
        self._last_ms = max(self._last_ms + 1, round(time_s * 1000))  # the API refuses a time twice
        result = self._landmarker.detect_for_video(image, self._last_ms)  # type: ignore[attr-defined]
        if not result.pose_landmarks or not result.pose_world_landmarks:
            return None
        hands = {side: getattr(result, f"{side}_hand_landmarks") or None for side in SIDES}
        seen = {side: float(hand is not None) for side, hand in hands.items()}
        return _detection(rgb.shape, result.pose_landmarks, result.pose_world_landmarks, hands, seen, seen)


def _detection(
    shape: tuple[int, ...], body: Any, world: Any, hands: dict[Any, Any], presence: dict[Any, Any], own: dict[Any, Any]
) -> Detection:
    """MediaPipe's landmark lists, normalised to the picture's width and height, as arrays in our order."""
    size = np.array([shape[1], shape[0], shape[1]], np.float32)  # a landmark's z has the scale of its x
    body = [body[i] for i in MEDIAPIPE_POSE]
    world = [world[i] for i in MEDIAPIPE_POSE]
    hand_xyz = np.full((len(SIDES), N_HAND_JOINTS, 3), np.nan, np.float32)
    for k, side in enumerate(SIDES):
        if hands[side] is not None:
            hand_xyz[k] = _xyz(hands[side]) * size
    seen = np.array([hands[side] is not None for side in SIDES])
    return Detection(
        _xyz(body)[:, :2] * size[:2],
        _xyz(world),
        np.array([p.visibility for p in body], np.float32),
        hand_xyz,
        np.where(seen, [presence[side] or 0.0 for side in SIDES], 0).astype(np.float32),
        np.where(seen, [own[side] for side in SIDES], 0).astype(np.float32),
    )


def _xyz(points: Any) -> NDArray[np.float32]:
    return np.array([(p.x, p.y, p.z) for p in points], np.float32)


def _own_side(side: str, classes: Any) -> float:
    """Probability that a hand is of its side."""
    if classes is None or not classes.classification:
        return 0.0
    best = classes.classification[0]
    return best.score if best.label == _MIRRORED[side] else 1 - best.score


def reference_graph(folder: Path) -> Any:
    """Holistic's graph, expanded, without what makes the face mesh and the segmentation mask.

    Args:
        folder: keeps the network without its mask as long as the graph is used.
    """
    mediapipe = import_mediapipe("mediapipe")
    bindings = import_mediapipe("mediapipe.python._framework_bindings")
    calculator_pb2 = import_mediapipe("mediapipe.framework.calculator_pb2")
    import_mediapipe("mediapipe.python.solutions.holistic")  # registers the calculators' options
    root = Path(mediapipe.__file__).parent.parent
    bindings.resource_util.set_resource_dir(str(root))
    graph = bindings.validated_graph_config.ValidatedGraphConfig()
    graph.initialize(binary_graph_path=str(root / _GRAPH))
    config = calculator_pb2.CalculatorGraphConfig()
    config.ParseFromString(graph.binary_config)
    network = folder / Path(NETWORKS["pose"].file).name
    network.write_bytes(without_mask((root / "mediapipe/modules" / NETWORKS["pose"].file).read_bytes()))
    _keep(config.node, lambda node: not node.name.startswith(_FACE_NODES))
    constants = import_mediapipe("mediapipe.calculators.core.constant_side_packet_calculator_pb2")
    for node in config.node:
        for packet in node.options.Extensions[constants.ConstantSidePacketCalculatorOptions.ext].packet:
            if packet.string_value.endswith(network.name):
                packet.string_value = str(network)
    _keep(config.output_stream, lambda name: "face" not in name)
    _keep(config.input_side_packet, lambda name: "face" not in name)
    return config


def _keep(repeated: Any, wanted: Any) -> None:
    kept = [item for item in repeated if wanted(item)]
    del repeated[:]
    repeated.extend(kept)


def import_mediapipe(name: str) -> Any:
    """Import a module of MediaPipe when it is needed."""
    os.environ.setdefault("GLOG_minloglevel", "2")
    return import_optional(name)


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Drop the known start-up chatter that MediaPipe's C++ side writes to standard error; all else is passed on."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as caught:
        saved = os.dup(2)
        try:
            os.dup2(caught.fileno(), 2)
            yield
        finally:
            os.dup2(saved, 2)
            caught.seek(0)
            for line in caught:
                if not _NOISE.match(line):
                    os.write(saved, line)
            os.close(saved)
