"""The pose network without its mask: the other outputs are the same, for less work."""

from pathlib import Path

import numpy as np
import tflite
from ai_edge_litert.interpreter import Interpreter

from signrep_core.pose.models import WHEEL, find_models
from signrep_core.pose.prune import MASK, PRESENCE, without_mask


def run(network: bytes, pixels: np.ndarray) -> list[np.ndarray]:
    interpreter = Interpreter(model_content=network, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels)
    interpreter.invoke()
    return [interpreter.get_tensor(output["index"]) for output in interpreter.get_output_details()]


def test_the_outputs_stay_and_the_mask_is_another_name_of_the_presence(tmp_path: Path) -> None:
    network = find_models(WHEEL, tmp_path)["pose"].read_bytes()
    pruned = without_mask(network)
    operators = [tflite.Model.GetRootAsModel(data, 0).Subgraphs(0).OperatorsLength() for data in (network, pruned)]
    assert operators[1] < operators[0] - 10
    pixels = np.random.default_rng(0).random((1, 256, 256, 3), np.float32)
    before, after = run(network, pixels), run(pruned, pixels)
    for place, (expected, found) in enumerate(zip(before, after, strict=True)):
        np.testing.assert_allclose(found, before[PRESENCE] if place == MASK else expected, rtol=1e-6)
