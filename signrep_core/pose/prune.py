"""MediaPipe's pose network without its segmentation mask, for MediaPipe's own graph.

The mask, which nothing here reads, takes a tenth of the network's work. Its output becomes another name of the
presence, so that the graph finds as many outputs as before, and the operators that only the mask needs are left out.
"""

import struct
from typing import Any, Final

from signrep_core.extras import import_optional

PRESENCE, MASK = 1, 2  # places of outputs of pose_landmark_full
_OUTPUTS, _OPERATORS = 8, 10  # offsets of the fields in a SubGraph's table (tensorflow/lite/schema)
_INDEX: Final = struct.Struct("<I")


def without_mask(network: bytes) -> bytes:
    """Shorten the flatbuffer of pose_landmark_full in place."""
    data = bytearray(network)
    graph = import_optional("tflite").Model.GetRootAsModel(data, 0).Subgraphs(0)
    outputs, operators = _vector(graph, _OUTPUTS), _vector(graph, _OPERATORS)
    _INDEX.pack_into(data, outputs + _INDEX.size * MASK, graph.Outputs(PRESENCE))
    slots = [operators + _INDEX.size * k for k in range(graph.OperatorsLength())]
    tables = [slot + _INDEX.unpack_from(data, slot)[0] for slot in slots]  # an offset counts from where it is stored
    kept = [tables[k] for k in _needed(graph)]
    for slot, table in zip(slots, kept, strict=False):
        _INDEX.pack_into(data, slot, table - slot)
    _INDEX.pack_into(data, operators - _INDEX.size, len(kept))
    return bytes(data)


def _needed(graph: Any) -> list[int]:
    """Numbers of the operators that the outputs need, in order."""
    wanted = {graph.Outputs(i) for i in range(graph.OutputsLength())}
    needed = []
    for k in reversed(range(graph.OperatorsLength())):
        operator = graph.Operators(k)
        if operator.Outputs(0) in wanted:
            needed.append(k)
            wanted |= {int(i) for i in operator.InputsAsNumpy()}
    return needed[::-1]


def _vector(graph: Any, field: int) -> int:
    """Place of a vector's first element in the file."""
    return int(graph._tab.Vector(graph._tab.Offset(field)))
