"""The calls of TensorRT and CUDA that `backends/engine.py` and `cuda.py` make, as they are there.

    python -m tools.tensorrt_names

Writes the signatures of the installed packages tensorrt (or its bindings) and cuda-bindings into
test/backends/tensorrt_names.json, under their versions; the tests hold the stand-ins to all of
them. No GPU is needed. The bindings alone (tensorrt-cu12-bindings, 1 MB) suffice where libraries
named libnvinfer, libnvinfer_plugin and libnvonnxparser define the functions that they link.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

TABLE = Path(__file__).resolve().parents[1] / 'test/backends/tensorrt_names.json'

_TENSORRT = (
    'Builder.__init__', 'Builder.create_network', 'Builder.create_builder_config',
    'Builder.create_optimization_profile', 'Builder.build_serialized_network',
    'OnnxParser.__init__', 'OnnxParser.parse', 'OnnxParser.num_errors', 'OnnxParser.get_error',
    'ParserError.desc', 'INetworkDefinition.num_inputs', 'INetworkDefinition.get_input',
    'ITensor.name', 'ITensor.shape', 'IOptimizationProfile.set_shape',
    'IBuilderConfig.add_optimization_profile', 'IBuilderConfig.clear_flag',
    'IBuilderConfig.progress_monitor', 'BuilderFlag.TF32',
    'NetworkDefinitionCreationFlag.STRONGLY_TYPED', 'Runtime.__init__',
    'Runtime.deserialize_cuda_engine', 'ICudaEngine.create_execution_context',
    'ICudaEngine.num_io_tensors', 'ICudaEngine.get_tensor_name', 'ICudaEngine.get_tensor_mode',
    'ICudaEngine.get_tensor_dtype', 'IExecutionContext.set_input_shape',
    'IExecutionContext.get_tensor_shape', 'IExecutionContext.set_tensor_address',
    'IExecutionContext.execute_async_v3', 'ILogger.__init__', 'ILogger.log',
    'IProgressMonitor.__init__', 'IProgressMonitor.phase_start',
    'IProgressMonitor.step_complete', 'IProgressMonitor.phase_finish', 'TensorIOMode.INPUT',
    'DataType.FLOAT', 'DataType.HALF', 'Dims.__init__',
)  # fmt: skip
_CUDA = (
    'cudaGetDeviceCount', 'cudaDriverGetVersion', 'cudaGetDeviceProperties', 'cudaMalloc',
    'cudaFree', 'cudaMallocHost', 'cudaFreeHost', 'cudaMemcpyAsync', 'cudaStreamCreateWithFlags',
    'cudaStreamDestroy', 'cudaStreamSynchronize', 'cudaStreamBeginCapture',
    'cudaStreamEndCapture', 'cudaGraphInstantiate', 'cudaGraphLaunch', 'cudaGraphDestroy',
    'cudaGraphExecDestroy', 'cudaStreamNonBlocking',
    'cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal',
    'cudaMemcpyKind.cudaMemcpyHostToDevice', 'cudaMemcpyKind.cudaMemcpyDeviceToHost',
    'cudaError_t.cudaSuccess', 'cudaError_t.cudaErrorMemoryAllocation',
    'cudaError_t.cudaErrorInsufficientDriver',
)  # fmt: skip


def main() -> None:
    """Add the installed versions to the table."""
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    for names, modules in (
        (_TENSORRT, ('tensorrt', 'tensorrt_bindings')),
        (_CUDA, ('cuda.bindings.runtime',)),
    ):
        module = _first(modules)
        if module is None:
            continue
        version = getattr(module, '__version__', None)
        if version is None:
            version = importlib.import_module('cuda.bindings').__version__
        own = table.setdefault('cuda-bindings' if names is _CUDA else 'tensorrt', {})
        own[version] = {name: _signatures(module, name) for name in names}
    TABLE.write_text(json.dumps(table, indent=1, sort_keys=True) + '\n')


def _first(names: tuple[str, ...]) -> Any:
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


def _signatures(module: Any, name: str) -> list[str] | int | str:
    """Signatures of a function, the number of a constant, or 'attribute'."""
    found: Any = module
    for part in name.split('.'):
        found = getattr(found, part)
    if isinstance(found, int) or (not callable(found) and hasattr(found, '__int__')):
        return int(found)
    if not callable(found):
        return 'attribute'
    short = name.rpartition('.')[2]
    lines = (line.strip() for line in (found.__doc__ or '').splitlines())
    signatures = (line.split('. ', 1)[-1] for line in lines if f'{short}(' in line)
    return [
        line.replace(f'{module.__name__}.tensorrt.', '').replace('tensorrt_bindings.tensorrt.', '')
        for line in signatures
        if line.startswith(f'{short}(') and '*args' not in line
    ]


if __name__ == '__main__':
    main()
