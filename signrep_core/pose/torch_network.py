"""A `.tflite` network as a function of PyTorch tensors, converted when it is opened.

Holds the operators that MediaPipe's pose, hand, recrop, person and face networks use, sparse weights included. Tensors
of rank 4 are NCHW here, in channels-last memory, where the file has NHWC. An operator becomes a closure over weights
that already have their type and device.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from signrep_core.extras import import_optional

Apply = Callable[..., Tensor]
_TYPES: Final = {0: np.float32, 1: np.float16, 2: np.int32}  # tflite.TensorType
_ACTIVATIONS: Final[dict[int, Callable[[Tensor], Tensor]]] = {0: lambda x: x, 1: F.relu, 3: F.relu6}
_SAME: Final = 0  # tflite.Padding
_TO_NCHW, _TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)
_NCHW_AXIS: Final = (0, 2, 3, 1)  # of an axis of NHWC


@dataclass(frozen=True)
class _Operator:
    """One operator of the file: its options, its inputs that are constants, and its shapes."""

    options: Any  # of the operator's own class of options
    constants: dict[int, NDArray[Any]]  # by place among the inputs
    in_shape: tuple[int, ...]  # of the first input, as in the file (NHWC)
    out_shape: tuple[int, ...]
    tensor: Callable[[NDArray[Any]], Tensor]  # an array on the device


@dataclass
class _Step:
    apply: Apply
    inputs: list[int]
    output: int
    last_used: list[int] = field(default_factory=list)  # tensors that no later step needs


class TorchNetwork:
    """A network on a device: `network(crops)` gives its outputs."""

    def __init__(self, path: Path, outputs: Sequence[int], device: str, dtype: torch.dtype) -> None:
        """Convert a file.

        Args:
            path: the `.tflite` file.
            outputs: places of the outputs to compute; what only others need is left out.
            dtype: of weights and activations.

        Raises:
            NotImplementedError: the file has an operator that the networks above do not use.
        """
        self._device, self._dtype = device, dtype
        graph = _Graph(path)
        self._input, self._outputs = graph.inputs[0], [graph.outputs[k] for k in outputs]
        self._steps = graph.steps(self._outputs, self._tensor)
        _note_last_uses(self._steps, self._outputs)

    def __call__(self, crops: Tensor) -> list[Tensor]:
        """Outputs of (N, side, side, 3) inputs, rank 4 as NHWC."""
        values = {self._input: crops.to(self._dtype).permute(_TO_NCHW)}  # NHWC memory: channels last without a copy
        for step in self._steps:
            values[step.output] = step.apply(*(values[i] for i in step.inputs))
            for i in step.last_used:
                del values[i]
        return [_to_file_order(values[i]) for i in self._outputs]

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        kept = torch.from_numpy(np.array(array, np.float32)).to(self._device, self._dtype)
        return kept.contiguous(memory_format=torch.channels_last) if kept.dim() == 4 else kept


class _Graph:
    """The flatbuffer's tensors and operators."""

    def __init__(self, path: Path) -> None:
        self._tflite = import_optional("tflite")
        self._model = self._tflite.Model.GetRootAsModel(path.read_bytes(), 0)
        self._graph = self._model.Subgraphs(0)
        self._names = {v: k for k, v in vars(self._tflite.BuiltinOperator).items() if isinstance(v, int)}
        self.inputs = [int(self._graph.Inputs(i)) for i in range(self._graph.InputsLength())]
        self.outputs = [int(self._graph.Outputs(i)) for i in range(self._graph.OutputsLength())]
        stored = {i: self._stored(i) for i in range(self._graph.TensorsLength())}
        self._constants = {i: array for i, array in stored.items() if array is not None}

    def steps(self, outputs: Sequence[int], tensor: Callable[[NDArray[Any]], Tensor]) -> list[_Step]:
        """The operators that some outputs need, in order."""
        made: list[_Step] = []
        needed = set(outputs)
        for name, operator, inputs, output in reversed(self._operators()):
            if output in needed:
                variable = [i for i in inputs if i not in self._constants]
                needed |= set(variable)
                made.append(_Step(self._apply(name, operator, inputs, output, tensor), variable, output))
        return made[::-1]

    def _operators(self) -> list[tuple[str, Any, list[int], int]]:
        """Name, record, inputs and output of each operator; those that only unpack weights are done at once."""
        operators = []
        for k in range(self._graph.OperatorsLength()):
            operator = self._graph.Operators(k)
            code = self._model.OperatorCodes(operator.OpcodeIndex())
            name = self._names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
            inputs = [int(i) for i in operator.InputsAsNumpy() if i >= 0]
            output = int(operator.Outputs(0))
            if name in ("DEQUANTIZE", "DENSIFY"):
                self._constants[output] = self._constants[inputs[0]].astype(np.float32)
            else:
                operators.append((name, operator, inputs, output))
        return operators

    def _apply(
        self, name: str, operator: Any, inputs: list[int], output: int, tensor: Callable[[NDArray[Any]], Tensor]
    ) -> Apply:
        if name not in _BUILDERS:
            raise NotImplementedError(f"the operator {name} of a .tflite file")
        build, options_name = _BUILDERS[name]
        options = None
        if options_name:
            table = operator.BuiltinOptions()
            options = getattr(self._tflite, options_name)()
            options.Init(table.Bytes, table.Pos)
        constants = {place: self._constants[i] for place, i in enumerate(inputs) if i in self._constants}
        return build(_Operator(options, constants, self._shape(inputs[0]), self._shape(output), tensor))

    def _shape(self, index: int) -> tuple[int, ...]:
        tensor = self._graph.Tensors(index)
        return tuple(int(n) for n in tensor.ShapeAsNumpy()) if tensor.ShapeLength() else ()

    def _stored(self, index: int) -> NDArray[Any] | None:
        """A tensor's values in the file; None where it is computed."""
        tensor = self._graph.Tensors(index)
        buffer = self._model.Buffers(tensor.Buffer())
        if not buffer.DataLength():
            return None
        values = np.frombuffer(buffer.DataAsNumpy().tobytes(), _TYPES[tensor.Type()])
        if tensor.Sparsity() is None:
            return values.reshape(self._shape(index))
        return _densify(self._tflite, tensor.Sparsity(), values, self._shape(index))


def _densify(tflite: Any, sparsity: Any, values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Values of a sparse tensor in their places (the format of tensorflow/lite/schema, SparsityParameters).

    Dimensions are walked in the order in which they are stored, blocks after the axes that they divide. Of every stored
    element so far, `places` holds the indices and `rows` the number of its row in the next dimension.
    """
    blocks = [int(axis) for axis in sparsity.BlockMapAsNumpy()] if sparsity.BlockMapLength() else []
    dimensions = [sparsity.DimMetadata(d) for d in range(sparsity.DimMetadataLength())]
    sizes = {axis: dimensions[len(shape) + b].DenseSize() for b, axis in enumerate(blocks)}
    places, rows = np.zeros((1, len(shape)), np.int64), np.zeros(1, np.int64)
    for d, dimension in zip(sparsity.TraversalOrderAsNumpy(), dimensions, strict=True):
        axis, unit = (int(d), sizes.get(int(d), 1)) if d < len(shape) else (blocks[d - len(shape)], 1)
        if dimension.Format() == tflite.DimensionType.DENSE:
            counts = np.full(len(rows), dimension.DenseSize())
            inside = np.tile(np.arange(dimension.DenseSize()), len(rows))
            rows = np.repeat(rows * dimension.DenseSize(), counts) + inside
        else:
            begins = _integers(tflite, dimension.ArraySegments(), dimension.ArraySegmentsType())
            counts = (begins[1:] - begins[:-1])[rows]
            rows = np.concatenate([np.arange(begins[row], begins[row + 1]) for row in rows])
            inside = _integers(tflite, dimension.ArrayIndices(), dimension.ArrayIndicesType())[rows]
        places = np.repeat(places, counts, 0)
        places[:, axis] += inside * unit
    dense = np.zeros(shape, values.dtype)
    dense[tuple(places.T)] = values[rows]
    return dense


def _integers(tflite: Any, table: Any, kind: int) -> NDArray[np.int64]:
    """The integers of a sparse dimension, stored in one of three sizes (tflite.SparseIndexVector)."""
    vector = {1: tflite.Int32Vector, 2: tflite.Uint16Vector, 3: tflite.Uint8Vector}[kind]()
    vector.Init(table.Bytes, table.Pos)
    return np.asarray(vector.ValuesAsNumpy(), np.int64)


def _note_last_uses(steps: list[_Step], outputs: Sequence[int]) -> None:
    """Tell each step which tensors can be freed after it."""
    used = set(outputs)
    for step in reversed(steps):
        step.last_used = sorted(set(step.inputs) - used)
        used |= set(step.inputs)


def _to_file_order(value: Tensor) -> Tensor:
    return value.permute(_TO_NHWC) if value.dim() == 4 else value


# ---------------------------------------------------------------- operators: each gives the function of its inputs


def _convolution(op: _Operator, *, depthwise: bool = False) -> Apply:
    filters = op.constants[1]  # (out, height, width, in), depthwise (1, height, width, out)
    filters = filters.transpose(3, 0, 1, 2) if depthwise else filters.transpose(_TO_NCHW)
    weight = op.tensor(filters)
    bias = op.tensor(op.constants[2].reshape(-1)) if 2 in op.constants else None
    stride = (op.options.StrideH(), op.options.StrideW())
    dilation = (op.options.DilationHFactor(), op.options.DilationWFactor())
    kernel = [(n - 1) * d + 1 for n, d in zip(filters.shape[2:], dilation, strict=True)]
    padding = _padding(op, kernel, stride)
    groups = op.in_shape[3] if depthwise else 1
    activate = _ACTIVATIONS[op.options.FusedActivationFunction()]
    left, right, top, bottom = padding
    even = (top, left) if (left, top) == (right, bottom) else None

    def apply(x: Tensor) -> Tensor:
        x = x if even else F.pad(x, padding)
        return activate(F.conv2d(x, weight, bias, stride, even or 0, dilation, groups))

    return apply


def _padding(op: _Operator, kernel: Sequence[int], stride: Sequence[int]) -> list[int]:
    """Left, right, top, bottom; TensorFlow's SAME adds the odd pixel on the right and below."""
    padding: list[int] = []
    for size, extent, step in reversed(list(zip(op.in_shape[1:3], kernel, stride, strict=True))):
        total = max((-(-size // step) - 1) * step + extent - size, 0) if op.options.Padding() == _SAME else 0
        padding += [total // 2, total - total // 2]
    return padding


def _fully_connected(op: _Operator) -> Apply:
    weight, bias = op.tensor(op.constants[1]), op.tensor(op.constants[2].reshape(-1))
    activate = _ACTIVATIONS[op.options.FusedActivationFunction()]
    return lambda x: activate(F.linear(_to_file_order(x).flatten(1), weight, bias))


def _prelu(op: _Operator) -> Apply:
    return partial(F.prelu, weight=op.tensor(op.constants[1].reshape(-1)))


def _add(op: _Operator) -> Apply:
    activate = _ACTIVATIONS[op.options.FusedActivationFunction()]
    return lambda x, y: activate(x + y)


def _pad(op: _Operator) -> Apply:
    batch, (top, bottom), (left, right), (before, after) = op.constants[1].tolist()
    assert batch == [0, 0]
    return partial(F.pad, pad=(left, right, top, bottom, before, after))


def _max_pool(op: _Operator) -> Apply:
    kernel = op.options.FilterHeight(), op.options.FilterWidth()
    stride = op.options.StrideH(), op.options.StrideW()
    padding = _padding(op, kernel, stride)
    return lambda x: F.max_pool2d(F.pad(x, padding, value=float("-inf")), kernel, stride)


def _resize(op: _Operator) -> Apply:
    corners, half = op.options.AlignCorners(), op.options.HalfPixelCenters()
    if corners or half:
        size = tuple(op.out_shape[1:3])
        return lambda x: F.interpolate(x, size, mode="bilinear", align_corners=corners)
    axes = [_resize_weights(n, m, op.tensor) for n, m in zip(op.out_shape[1:3], op.in_shape[1:3], strict=True)]

    def apply(x: Tensor) -> Tensor:
        for dim, (low, high, share) in zip((2, 3), axes, strict=True):
            weight = share.view(-1, 1) if dim == 2 else share
            x = torch.lerp(x.index_select(dim, low.long()), x.index_select(dim, high.long()), weight)
        return x

    return apply


def _resize_weights(
    target: int, source: int, tensor: Callable[[NDArray[Any]], Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Neighbours and shares of the resize of TensorFlow 1: position = target · source size / target size."""
    position = np.arange(target) * source / target
    low = np.floor(position)
    return tensor(low), tensor(np.minimum(low + 1, source - 1)), tensor(position - low)


def _reshape(op: _Operator) -> Apply:
    shape = op.out_shape[1:]

    def apply(x: Tensor) -> Tensor:
        x = _to_file_order(x).reshape(x.shape[0], *shape)
        return x.permute(_TO_NCHW) if x.dim() == 4 else x

    return apply


def _mean(op: _Operator) -> Apply:
    assert sorted(op.constants[1].reshape(-1).tolist()) == [1, 2]
    keep = op.options.KeepDims()
    return lambda x: x.mean((2, 3), keepdim=keep)


def _concatenate(op: _Operator) -> Apply:
    rank = len(op.out_shape)
    axis = op.options.Axis() % rank
    return lambda *xs: torch.cat(xs, _NCHW_AXIS[axis] if rank == 4 else axis)


def _depth_to_space(op: _Operator) -> Apply:
    block = op.options.BlockSize()

    def apply(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        x = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
        return x.reshape(n, c // block**2, h * block, w * block)

    return apply


def _strided_slice(op: _Operator) -> Apply:
    begin, end, step = (op.constants[k].tolist() for k in (1, 2, 3))
    begins = [None if op.options.BeginMask() >> d & 1 else v for d, v in enumerate(begin)]
    ends = [None if op.options.EndMask() >> d & 1 else v for d, v in enumerate(end)]
    cuts = tuple(slice(*cut) for cut in zip(begins, ends, step, strict=True))
    return lambda x: x.permute(_TO_NHWC)[(slice(None), *cuts[1:])].permute(_TO_NCHW)


_BUILDERS: Final[dict[str, tuple[Callable[[_Operator], Apply], str]]] = {
    "ADD": (_add, "AddOptions"),
    "CONCATENATION": (_concatenate, "ConcatenationOptions"),
    "CONV_2D": (_convolution, "Conv2DOptions"),
    "DEPTHWISE_CONV_2D": (partial(_convolution, depthwise=True), "DepthwiseConv2DOptions"),
    "DEPTH_TO_SPACE": (_depth_to_space, "DepthToSpaceOptions"),
    "FULLY_CONNECTED": (_fully_connected, "FullyConnectedOptions"),
    "LOGISTIC": (lambda op: torch.sigmoid, ""),
    "MAX_POOL_2D": (_max_pool, "Pool2DOptions"),
    "MEAN": (_mean, "ReducerOptions"),
    "PAD": (_pad, ""),
    "PRELU": (_prelu, ""),
    "RESHAPE": (_reshape, ""),
    "RESIZE_BILINEAR": (_resize, "ResizeBilinearOptions"),
    "STRIDED_SLICE": (_strided_slice, "StridedSliceOptions"),
}
