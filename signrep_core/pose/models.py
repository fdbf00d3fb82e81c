"""Files of MediaPipe's networks: where they lie in the wheel or in a `.task` file, and whether they are the known ones.

Nothing is imported from MediaPipe and nothing of it is copied into this package.
"""

import zipfile
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from signrep_core.errors import SignRepError
from signrep_core.extras import missing_package
from signrep_core.store.files import file_digest

WHEEL: Final = "mediapipe"  # the value of pose.model that means the installed wheel
WHEEL_VERSION: Final = "0.10.21"  # the last one that carries its models


@dataclass(frozen=True)
class Network:
    """One network: its files, and the facts that its caller must know."""

    file: str  # below mediapipe/modules in the wheel
    sha256: str  # of that file
    task_file: str  # inside a holistic `.task` file; empty where it has another network for the purpose
    side: int  # of the square input, pixels
    black: float  # input of a black pixel; a white one is 1
    outputs: tuple[tuple[int, tuple[int, ...]], ...]  # place among the file's outputs, and shape


# Of pose_landmark_full, output 2 is the segmentation mask: leaving it out saves a tenth of the work.
NETWORKS: Final = {
    "pose": Network(
        "pose_landmark/pose_landmark_full.tflite",
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
        "pose_landmarks_detector.tflite", 256, 0.0, ((0, (195,)), (1, (1,)), (3, (64, 64, 39)), (4, (117,))),
    ),
    "hand": Network(
        "hand_landmark/hand_landmark_full.tflite",
        "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
        "hand_landmarks_detector.tflite", 224, 0.0, ((0, (63,)), (1, (1,)), (2, (1,)), (3, (63,))),
    ),
    "recrop": Network(
        "holistic_landmark/hand_recrop.tflite",
        "67d996ce96f9d36fe17d2693022c6da93168026ab2f028f9e2365398d8ac7d5d",
        "hand_roi_refinement.tflite", 256, 0.0, ((0, (1, 1, 4)),),
    ),
    "person": Network(
        "pose_detection/pose_detection.tflite",
        "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
        "pose_detector.tflite", 224, -1.0, ((0, (2254, 12)), (1, (2254, 1))),
    ),
    "face": Network(
        "face_detection/face_detection_full_range_sparse.tflite",
        "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
        "", 192, -1.0, ((0, (2304, 16)), (1, (2304, 1))),
    ),
}  # fmt: skip


def wheel_folder() -> Path:
    """Folder of the installed mediapipe package, without importing it.

    Raises:
        SignRepError: it is not installed.
    """
    spec = find_spec("mediapipe")
    if spec is None or spec.origin is None:
        raise missing_package("mediapipe")
    return Path(spec.origin).parent


def check_task_file(model: str) -> None:
    """Raise SignRepError unless `pose.model` names a file."""
    if not Path(model).is_file():
        raise SignRepError(f"pose.model: no file at {model}; give `{WHEEL}`, or the path of a holistic .task file")


def find_models(model: str, unpacked: Path) -> dict[str, Path]:
    """Files of all networks.

    Args:
        model: `mediapipe` for the wheel's networks, or the path of a holistic `.task` file.
        unpacked: folder into which those of a `.task` file are written.

    Raises:
        SignRepError: a file is missing or, in the wheel, not the one of 0.10.21.
    """
    files = {
        name: _wheel_file(network) for name, network in NETWORKS.items() if model == WHEEL or not network.task_file
    }
    if model != WHEEL:
        check_task_file(model)
        files |= _unpack(Path(model), unpacked)
    return files


def _wheel_file(network: Network) -> Path:
    path = wheel_folder() / "modules" / network.file
    if not path.is_file() or file_digest(path) != network.sha256:
        raise SignRepError(
            f"{path}: expected the network of mediapipe {WHEEL_VERSION}, "
            f"{'found another one' if path.is_file() else 'found no file'} (mediapipe {version('mediapipe')} is "
            f"installed); install mediapipe=={WHEEL_VERSION}, or give pose.model the path of a holistic .task file"
        )
    return path


def _unpack(model: Path, folder: Path) -> dict[str, Path]:
    """Write the networks of a `.task` file, which is a ZIP archive, into a folder."""
    files = {}
    try:
        with zipfile.ZipFile(model) as archive:
            for name, network in NETWORKS.items():
                if network.task_file:
                    files[name] = folder / network.task_file
                    files[name].write_bytes(archive.read(network.task_file))
    except (zipfile.BadZipFile, KeyError) as error:
        raise SignRepError(
            f"pose.model: {model} is not a holistic landmarker model ({error}); give `{WHEEL}` or another file"
        ) from error
    return files
