"""Every network in each of its ways against LiteRT, which MediaPipe runs."""

import subprocess
import sys
import zipfile
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from signrep_core.pose import networks as networks_module
from signrep_core.pose.crops import cut_crops
from signrep_core.pose.models import NETWORKS, WHEEL, find_models
from signrep_core.pose.networks import Networks, import_openvino, open_networks, openvino_runs, split_hand, torch_runs
from signrep_core.video.reader import read_frames

BODY, HANDS = np.array([320.0, 240, 420, 0.1]), np.array([[240.0, 279, 110, 1.25], [350.0, 288, 100, -1.6]])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return find_models(WHEEL, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def crops(clips: Path) -> dict[str, np.ndarray]:
    """Two crops for each network; in frame 53 of asl_walk_C both hands are in full view."""
    rgb = next(islice(read_frames(clips / "asl_walk_C.mkv"), 53, None)).rgb
    regions = {name: HANDS if name in ("hand", "recrop") else np.stack([BODY, BODY + 9]) for name in NETWORKS}
    return {name: cut_crops([rgb, rgb], regions[name], network.side) for name, network in NETWORKS.items()}


@pytest.fixture(scope="module")
def expected(files: dict[str, Path], crops: dict[str, np.ndarray]) -> dict[str, list[np.ndarray]]:
    """LiteRT's outputs."""
    from ai_edge_litert.interpreter import Interpreter

    results = {}
    for name, network in NETWORKS.items():
        interpreter = Interpreter(str(files[name]), num_threads=1)
        interpreter.allocate_tensors()
        places = [interpreter.get_output_details()[k]["index"] for k, _ in network.outputs]
        outputs = []
        for crop in crops[name]:
            pixels = (crop / 255 * (1 - network.black) + network.black).astype(np.float32)
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels[None])
            interpreter.invoke()
            outputs.append([interpreter.get_tensor(place)[0].copy() for place in places])
        results[name] = [np.stack(parts) for parts in zip(*outputs, strict=True)]
    return results


def check(runs, crops, expected, tolerance: float) -> None:
    """Outputs are near LiteRT's, relative to each output's range (at least 1)."""
    for name, run in runs.items():
        for ours, theirs in zip(run(crops[name]), expected[name], strict=True):
            atol = tolerance * max(np.abs(theirs).max(), 1)
            np.testing.assert_allclose(ours.reshape(theirs.shape), theirs, atol=atol, rtol=0, err_msg=name)


@pytest.mark.slow
def test_openvino_gives_what_litert_gives(files, crops, expected) -> None:
    check(openvino_runs(files), crops, expected, 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("float16", 2e-2)])
def test_torch_gives_what_litert_gives(files, crops, expected, dtype: str, tolerance: float) -> None:
    check(torch_runs(files, "cpu", dtype), crops, expected, tolerance)


def test_the_hand_network_in_two_parts_is_the_whole_one(files, crops, expected) -> None:
    """The parts differ in their type on a CPU with bfloat16; here both are float32."""
    core = import_openvino().Core()
    model = networks_module._read_openvino(core, files["hand"], NETWORKS["hand"])
    parts = [networks_module._compile(core, part, "f32") for part in split_hand(model)]
    check({"hand": networks_module._chain(parts)}, crops, expected, 1e-4)


def test_batches_larger_than_the_device_takes_are_cut(files, crops, monkeypatch: pytest.MonkeyPatch) -> None:
    run = torch_runs({"recrop": files["recrop"]}, "cpu", "float32")["recrop"]
    (whole,) = run(crops["recrop"])
    monkeypatch.setattr(networks_module, "MAX_BATCH", 1)
    np.testing.assert_allclose(run(crops["recrop"])[0], whole, atol=1e-3)


def test_hands_and_bodies_are_found_in_their_crops(networks: Networks, crops) -> None:
    hand, pose = networks.hand(crops["hand"]), networks.pose(crops["pose"])
    assert (hand.presence > 0.8).all()
    assert hand.right[0] > 0.6 > 0.4 > hand.right[1], "the signer's right hand is on the picture's left"
    assert (pose.presence > 0.5).all()
    assert ((pose.landmarks[..., 3:] >= 0) & (pose.landmarks[..., 3:] <= 1)).all()
    assert pose.landmarks.shape == (2, 39, 5)
    assert pose.world.shape == (2, 39, 3)
    nose, left, right = pose.landmarks[0, [0, 11, 12], :2]
    assert right[0] < nose[0] < left[0]
    assert networks.recrop(crops["recrop"]).shape == (2, 2, 2)
    assert networks.person(crops["person"]).logits.shape == (2, 2254)


def test_no_crops_give_empty_results(networks: Networks) -> None:
    assert networks.pose(np.zeros((0, 256, 256, 3), np.uint8)).landmarks.shape == (0, 39, 5)
    assert networks.hand(np.zeros((0, 224, 224, 3), np.uint8)).presence.shape == (0,)


def test_a_landmark_moves_to_the_middle_of_its_heat() -> None:
    """Cells 10 and 11 of row 20 are hot: (10 + 11) / 2 / 64; a landmark far from them stays."""
    heat = np.full((1, 64, 64, 2), -50, np.float32)
    heat[0, 20, [10, 11]] = 50
    xy = np.array([[[9.2 / 64, 21.7 / 64], [0.8, 0.8]]], np.float32)
    refined = networks_module._refine(xy, heat)
    np.testing.assert_allclose(refined[0], [[10.5 / 64, 20 / 64], [0.8, 0.8]], atol=1e-6)


def test_openvino_sends_no_telemetry() -> None:
    code = (
        "from signrep_core.pose.networks import import_openvino as load; load(); import sys;"
        "sys.exit(any(name.startswith('openvino_telemetry.') for name in sys.modules))"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


@pytest.mark.slow
def test_a_task_file_with_the_same_networks_gives_the_same_hands(
    files: dict[str, Path], crops: dict[str, np.ndarray], networks: Networks, tmp_path: Path
) -> None:
    task = tmp_path / "holistic.task"
    with zipfile.ZipFile(task, "w") as archive:
        for name, network in NETWORKS.items():
            if network.task_file:
                archive.write(files[name], network.task_file)
    ours = open_networks(str(task)).hand(crops["hand"])
    np.testing.assert_allclose(ours.landmarks, networks.hand(crops["hand"]).landmarks, atol=0.01)
