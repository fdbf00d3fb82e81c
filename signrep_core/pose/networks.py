"""MediaPipe's networks as functions of crops: OpenVINO on a CPU, PyTorch on a GPU.

No state is kept between two calls, so crops of any frames and videos can be joined to one call.

Numbers of one picture are landmarks of up to 256 pixels, and tracking amplifies their errors: the pose network runs in
float32 or float16, never in bfloat16, whose steps there are a pixel. On a CPU that computes in bfloat16 the hand
network's trunk does, with its last layers in float32.

Legend: N crops.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from signrep_core.errors import SignRepError
from signrep_core.extras import import_optional
from signrep_core.pose.models import NETWORKS, WHEEL, Network, find_models

Crops = NDArray[np.uint8]  # (N, side, side, 3) RGB
Array = NDArray[np.float32]
Run = Callable[[Crops], list[Array]]  # outputs of a batch

POSE_SIDE: Final = NETWORKS["pose"].side
HAND_SIDE: Final = NETWORKS["hand"].side
RECROP_SIDE: Final = NETWORKS["recrop"].side
PERSON_SIDE: Final = NETWORKS["person"].side
FACE_SIDE: Final = NETWORKS["face"].side
N_POSE_POINTS: Final = 39  # 33 landmarks, two auxiliary points of the region (33, 34), four that are not used
MAX_BATCH: Final = 256  # crops on the device at a time: bounds its memory
# holistic_landmark's graph, TensorsToPoseLandmarks: refined within 9 by 9 cells where the highest is at least 0.5 sure
_REFINE_CELLS: Final = 9
_REFINE_FROM: Final = 0.5
_HAND_Z: Final = 0.4  # hand_landmark's graph, TensorsToLandmarksCalculator: normalize_z


class PoseOutput(NamedTuple):
    """Body landmarks in crops of POSE_SIDE."""

    landmarks: Array  # (N, 39, 5) x, y, z in pixels of the crop, visibility, presence in 0..1
    presence: Array  # (N,) probability of a person
    world: Array  # (N, 39, 3) metres, in the crop's directions


class HandOutput(NamedTuple):
    """Hand landmarks in crops of HAND_SIDE."""

    landmarks: Array  # (N, 21, 3) pixels of the crop
    presence: Array  # (N,) probability of a hand
    right: Array  # (N,) probability that it is a right hand
    world: Array  # (N, 21, 3) metres, in the crop's directions


class DetectorOutput(NamedTuple):
    """Raw predictions of a detector for each of its A anchors."""

    boxes: Array  # (N, A, 4 + 2 P) centre, size and P points in pixels of the crop, centre and points from the anchor
    logits: Array  # (N, A)


class Networks:
    """The five networks; a batch of uint8 RGB crops in, arrays out."""

    def __init__(self, name: str, runs: dict[str, Run]) -> None:
        self.name = name
        self.runs = runs

    def pose(self, crops: Crops) -> PoseOutput:
        """Body landmarks of (N, 256, 256, 3) crops, refined by the network's heat maps."""
        raw, presence, heat, world = self._run("pose", crops)
        landmarks = raw.reshape(-1, N_POSE_POINTS, 5)
        landmarks[..., :2] = POSE_SIDE * _refine(landmarks[..., :2] / POSE_SIDE, heat)
        landmarks[..., 3:] = logistic(landmarks[..., 3:])
        return PoseOutput(landmarks, presence.reshape(-1), world.reshape(-1, N_POSE_POINTS, 3))

    def hand(self, crops: Crops) -> HandOutput:
        """Hand landmarks of (N, 224, 224, 3) crops."""
        raw, presence, right, world = self._run("hand", crops)
        landmarks = raw.reshape(-1, 21, 3)
        landmarks[..., 2] /= _HAND_Z
        return HandOutput(landmarks, presence.reshape(-1), right.reshape(-1), world.reshape(-1, 21, 3))

    def recrop(self, crops: Crops) -> Array:
        """(N, 2, 2) ends of a hand's axis, in pixels of (N, 256, 256, 3) crops of where the pose has the hand."""
        (raw,) = self._run("recrop", crops)
        return raw.reshape(-1, 2, 2)

    def person(self, crops: Crops) -> DetectorOutput:
        """Predictions of the person detector for (N, 224, 224, 3) crops: A 2254 anchors, P 4 points."""
        boxes, logits = self._run("person", crops)
        return DetectorOutput(boxes, logits[..., 0])

    def face(self, crops: Crops) -> DetectorOutput:
        """Predictions of the full-range face detector for (N, 192, 192, 3) crops: A 2304 anchors, P 6 points."""
        boxes, logits = self._run("face", crops)
        return DetectorOutput(boxes, logits[..., 0])

    def _run(self, name: str, crops: Crops) -> list[Array]:
        shapes = [shape for _, shape in NETWORKS[name].outputs]
        if not len(crops):
            return [np.zeros((0, *shape), np.float32) for shape in shapes]
        outputs = self.runs[name](crops)
        return [output.reshape(-1, *shape) for output, shape in zip(outputs, shapes, strict=True)]


def open_networks(model: str = WHEEL, device: str = "cpu") -> Networks:
    """Open the networks.

    Args:
        model: `mediapipe` for those of the installed wheel, or the path of a holistic `.task` file.
        device: `cpu` for OpenVINO with one thread, else a device of PyTorch such as `cuda`, with float16.

    Raises:
        SignRepError: a package, a file or the device is missing, or a file is not the known one.
    """
    with TemporaryDirectory() as folder:
        files = find_models(model, Path(folder))
        del files["face"]  # `pose.faces` opens it, wherever the others run
        if device == "cpu":
            return Networks(f"openvino {import_openvino().__version__}", openvino_runs(files))
        torch = import_optional("torch")
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise SignRepError("pose.device: PyTorch finds no CUDA GPU; see signrep doctor, or write `cpu`")
        return Networks(f"torch {torch.__version__} float16", torch_runs(files, device))


def logistic(values: Array) -> Array:
    """1 / (1 + exp(-x)) without overflow."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-values))


def _refine(xy: Array, heat: Array) -> Array:
    """Move landmarks to the centre of mass of the heat map around them (RefineLandmarksFromHeatmapCalculator).

    Args:
        xy: (N, K, 2) shares of the crop.
        heat: (N, H, W, K) logits.
    """
    n, height, width, points = heat.shape
    size = np.array([width, height], np.float32)
    cells = (xy * size).astype(np.int32)  # truncated, as C++ does
    inside = (xy * size > -1).all(-1) & (cells < size).all(-1)
    offsets = np.arange(_REFINE_CELLS) - _REFINE_CELLS // 2
    columns, rows = cells[..., 0, None] + offsets, cells[..., 1, None] + offsets  # (N, K, 9)
    known = ((rows >= 0) & (rows < height))[..., :, None] & ((columns >= 0) & (columns < width))[..., None, :]
    around = heat[
        np.arange(n)[:, None, None, None],
        rows.clip(0, height - 1)[..., :, None],
        columns.clip(0, width - 1)[..., None, :],
        np.arange(points)[:, None, None],
    ]
    mass = logistic(around) * known  # (N, K, 9, 9)
    total = mass.sum((-1, -2))
    refined = inside & (mass.max((-1, -2)) >= _REFINE_FROM)
    total = np.where(refined, total, 1)
    x, y = (mass.sum(-2) * columns).sum(-1) / total / width, (mass.sum(-1) * rows).sum(-1) / total / height
    return np.where(refined[..., None], np.stack([x, y], -1), xy).astype(np.float32)


# ---------------------------------------------------------------- OpenVINO


def openvino_runs(files: dict[str, Path]) -> dict[str, Run]:
    """The networks by OpenVINO on one thread of the CPU. Crops run one by one, which is as fast there as a batch."""
    core, coarse = import_openvino().Core(), computes_bfloat16()
    runs = {}
    for name, file in files.items():
        stages = [_read_openvino(core, file, NETWORKS[name])]
        if name == "hand" and coarse:
            stages = split_hand(*stages)
        precisions = ["bf16", "f32"] if len(stages) == 2 else ["f32"]
        compiled = [_compile(core, stage, hint) for stage, hint in zip(stages, precisions, strict=True)]
        runs[name] = _chain(compiled)
    return runs


def computes_bfloat16() -> bool:
    """Whether this processor has instructions for bfloat16."""
    return "BF16" in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def split_hand(model: Any) -> list[Any]:
    """Cut the hand network before the mean over its last feature map: a trunk, and heads with small matrices."""
    ov, opset = import_openvino(), import_optional("openvino.opset13")
    (pool,) = (node for node in model.get_ordered_ops() if node.get_type_name() == "ReduceMean")
    features = pool.input_value(0)
    trunk = ov.Model([opset.result(features)], model.get_parameters(), "trunk")
    middle = opset.parameter(features.get_partial_shape(), np.float32)
    pool.input(0).replace_source_output(middle.output(0))
    return [trunk, ov.Model(model.get_results(), [middle], "heads")]


def import_openvino() -> Any:
    """OpenVINO without its telemetry, which would send a message whenever it is imported."""
    if "openvino" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    return import_optional("openvino")


def _read_openvino(core: Any, file: Path, network: Network) -> Any:
    """A network with uint8 input and only the outputs that are needed."""
    ov, preprocess = import_openvino(), import_optional("openvino.preprocess")
    model = core.read_model(file)
    results = model.get_results()
    model = ov.Model([results[k] for k, _ in network.outputs], model.get_parameters(), file.stem)
    steps = preprocess.PrePostProcessor(model)
    steps.input().tensor().set_element_type(ov.Type.u8)
    scale = 255 / (1 - network.black)
    steps.input().preprocess().convert_element_type(ov.Type.f32).mean(-network.black * scale).scale(scale)
    return steps.build()


def _compile(core: Any, model: Any, precision: str) -> Any:
    hints = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
    }
    return core.compile_model(model, "CPU", hints).create_infer_request()


def _chain(requests: list[Any]) -> Run:
    """Run a crop through one network after another."""
    tensor = import_openvino().Tensor

    def run(crops: Crops) -> list[Array]:
        outputs: list[list[Array]] = []
        for crop in np.ascontiguousarray(crops)[:, None]:
            values = [crop]
            for request in requests:
                for place, value in enumerate(values):
                    request.set_input_tensor(place, tensor(value, shared_memory=True))
                request.infer()
                values = [out.data for out in request.output_tensors]
            outputs.append([value.copy() for value in values])
        return [np.concatenate(parts) for parts in zip(*outputs, strict=True)]

    return run


# ---------------------------------------------------------------- PyTorch


def torch_runs(files: dict[str, Path], device: str, dtype: str = "float16") -> dict[str, Run]:
    """The networks by PyTorch, in batches of at most MAX_BATCH."""
    torch = import_optional("torch")
    from signrep_core.pose.torch_network import TorchNetwork

    def open_one(name: str, file: Path) -> Run:
        places = [k for k, _ in NETWORKS[name].outputs]
        network, black = TorchNetwork(file, places, device, getattr(torch, dtype)), NETWORKS[name].black

        def run(crops: Crops) -> list[Array]:
            parts = []
            with torch.inference_mode():
                for begin in range(0, len(crops), MAX_BATCH):
                    pixels = torch.from_numpy(crops[begin : begin + MAX_BATCH]).to(device, non_blocking=True)
                    outputs = network(pixels.float() * ((1 - black) / 255) + black)
                    parts.append([output.float().cpu().numpy() for output in outputs])
            return [np.concatenate(values) for values in zip(*parts, strict=True)]

        return run

    return {name: open_one(name, file) for name, file in files.items()}
