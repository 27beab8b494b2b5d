"""A typed fp16 form of an .onnx model, for runtimes that compute in the types of the file.

TensorRT builds strongly typed networks only: the precision is that of the tensors in the file.
Here the convolutions, and what lies between them, are given fp16 tensors. All else stays fp32:
inputs, outputs, the normalisation of the images, the matching cost, the expectation over
disparities and the upsampling. A disparity of 128 px or more has steps of 0.125 px in fp16.

The types are set here because the usual converters do not keep that: onnxconverter-common 1.16
leaves our graph with a convolution of two types, onnxruntime.transformers.float16 1.32 with nodes
out of order, and both round every tensor between two fp32 nodes to fp16.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BackendError, ModelError, one_line

# They take nearly all of the time, and bear fp16.
_SEEDS = {'Conv', 'ConvTranspose'}
# They stay in fp16 where all that they read is in fp16.
_BETWEEN = {'Relu', 'LeakyRelu', 'PRelu', 'Clip', 'Sigmoid', 'Tanh', 'BatchNormalization', 'Add'}
_BETWEEN |= {'Concat', 'MaxPool', 'AveragePool'}
_LARGEST = float(np.finfo(np.float16).max)


def half_model(path: Path) -> bytes:
    """The model with fp16 tensors at its convolutions, and fp32 inputs and outputs.

    Raises:
        BackendError: the package onnx is missing.
        ModelError: the file cannot be read, or has no fp32 convolution.
    """
    try:
        import onnx
    except ImportError as error:
        raise BackendError(
            f'precision fp16 needs the package onnx ({one_line(error)}); install it with: '
            'pip install onnx, or set precision to fp32'
        ) from error
    try:
        model = onnx.load(str(path))
        typed = onnx.shape_inference.infer_shapes(model)
    except Exception as error:  # protobuf's errors and those of onnx share no base
        raise ModelError(f'{path}: onnx cannot read it: {one_line(error)}') from error
    converted = _Converter(onnx, model.graph, _floats(onnx, typed.graph)).run()
    if not converted:
        raise ModelError(f'{path}: has no fp32 convolution, so no fp16 form; set precision fp32')
    return bytes(model.SerializeToString())


def _floats(onnx: Any, graph: Any) -> set[str]:
    """Names of the fp32 tensors."""
    kind = onnx.TensorProto.FLOAT
    values = (*graph.input, *graph.value_info, *graph.output)
    named = {value.name for value in values if value.type.tensor_type.elem_type == kind}
    return named | {tensor.name for tensor in graph.initializer if tensor.data_type == kind}


class _Converter:
    """One pass over the nodes of a graph, which are in the order in which they run."""

    def __init__(self, onnx: Any, graph: Any, floats: set[str]) -> None:
        self._onnx = onnx
        self._graph = graph
        self._floats = floats
        self._constants = _constants(onnx, graph)
        # What is read from outside of the nodes: of the graph, and by the branches of an If.
        self._outputs = {value.name for value in graph.output} | _read_within(graph)
        self._half: set[str] = set()  # tensors that are in fp16
        self._cast: dict[tuple[str, bool], str] = {}  # (tensor, to fp16) -> its other form
        self._nodes: list[Any] = []

    def run(self) -> int:
        """Retype the graph; returns the number of nodes in fp16."""
        count = 0
        for node in list(self._graph.node):
            into_half = self._bears_half(node)
            count += into_half
            for index, name in enumerate(node.input):
                if name in self._floats and (name in self._half) != into_half:
                    node.input[index] = self._as(name, into_half)
            self._nodes.append(node)
            if into_half:
                self._half.update(node.output)
                for index, name in enumerate(node.output):
                    if name in self._outputs:
                        self._keep_output(node, index, name)
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)
        for value in self._graph.value_info:
            if value.name in self._half:
                value.type.tensor_type.elem_type = self._onnx.TensorProto.FLOAT16
        read = {name for node in self._nodes for name in node.input} | self._outputs
        kept = [tensor for tensor in self._graph.initializer if tensor.name in read]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)
        return count

    def _bears_half(self, node: Any) -> bool:
        read = [name for name in node.input if name]
        if node.domain not in ('', 'ai.onnx') or not all(name in self._floats for name in read):
            return False
        if node.op_type in _SEEDS:
            return True
        data = [name for name in read if name not in self._constants]
        return node.op_type in _BETWEEN and bool(data) and all(n in self._half for n in data)

    def _as(self, name: str, half: bool) -> str:
        """The name of a tensor in the other type: a constant written anew, else a Cast."""
        if (name, half) not in self._cast:
            self._cast[name, half] = self._written(name) if half else ''
            if not self._cast[name, half]:
                self._cast[name, half] = self._casted(name, half)
        return self._cast[name, half]

    def _written(self, name: str) -> str:
        values = self._constants.get(name)
        if values is None:
            return ''
        half = f'{name}_fp16'
        bounded = np.clip(values, -_LARGEST, _LARGEST).astype(np.float16)
        self._graph.initializer.append(self._onnx.numpy_helper.from_array(bounded, half))
        return half

    def _casted(self, name: str, half: bool) -> str:
        kinds = self._onnx.TensorProto
        kind, ending = (kinds.FLOAT16, 'fp16') if half else (kinds.FLOAT, 'fp32')
        target = f'{name}_{ending}'
        self._nodes.append(
            self._onnx.helper.make_node('Cast', [name], [target], f'cast_{target}', to=kind)
        )
        return target

    def _keep_output(self, node: Any, index: int, name: str) -> None:
        """An output that is made in fp16 is given out in fp32."""
        inner = f'{name}_fp16'
        node.output[index] = inner
        self._half.discard(name)
        self._half.add(inner)
        self._floats.add(inner)
        # Those that read it take it as it is.
        self._cast[name, True] = inner
        self._nodes.append(
            self._onnx.helper.make_node(
                'Cast', [inner], [name], f'cast_{name}', to=self._onnx.TensorProto.FLOAT
            )
        )


def _read_within(graph: Any) -> set[str]:
    """Names that the graphs in nodes (If, Loop, Scan) read, of their own and from around them."""
    inner = [
        body
        for node in graph.node
        for attribute in node.attribute
        for body in (*attribute.graphs, *([attribute.g] if attribute.HasField('g') else []))
    ]
    return {
        name
        for body in inner
        for name in (
            *(name for node in body.node for name in node.input),
            *(value.name for value in body.output),
            *_read_within(body),
        )
    }


def _constants(onnx: Any, graph: Any) -> dict[str, Any]:
    """Values of the fp32 constants: weights, nodes of type Constant, and other names of them."""
    found = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT
    }
    for node in graph.node:
        if node.op_type == 'Constant':
            for attribute in node.attribute:
                if attribute.name == 'value' and attribute.t.data_type == onnx.TensorProto.FLOAT:
                    found[node.output[0]] = onnx.numpy_helper.to_array(attribute.t)
        elif node.op_type == 'Identity' and node.input[0] in found:
            found[node.output[0]] = found[node.input[0]]
    return found
