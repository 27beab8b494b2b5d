"""PyTorch: the reference, on CUDA where there is a device."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from .. import models
from ..config import PipelineConfig
from ..errors import BackendError
from ..models import ModelSpec
from ..network import checkpoint
from ..stereo import Float32Array

# PyTorch's own choice; a number set later counts for the whole process.
_ALL_CORES = torch.get_num_threads()

_REDUCED = {'bf16': torch.bfloat16, 'fp16': torch.float16}


class TorchBackend:
    """Runs a .pt checkpoint. 'auto' precision is fp32: this backend is what others are held to.

    Raises:
        ModelError: the checkpoint is missing or unreadable.
        BackendError: the device lacks the precision.
    """

    name = 'torch'
    compiling = False

    def __init__(self, config: PipelineConfig) -> None:
        path = models.resolve(config.model, ('.pt',))
        precision = 'fp32' if config.precision == 'auto' else config.precision
        self._device = torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')
        if precision == 'fp16' and self._device.type == 'cpu':
            raise BackendError(
                'backend torch has fp16 on CUDA only; set precision to auto or bf16'
            )
        torch.set_num_threads(config.threads or _ALL_CORES)
        self._precision = precision
        self._model = checkpoint.load(path).to(self._device)
        self._spec = ModelSpec(
            name=path.stem,
            padding_multiple=self._model.padding_multiple,
            max_disparity_px=self._model.max_disparity_px,
            min_width_px=self._model.min_width_px,
            precision=precision,
            sha256=models.sha256(path),
        )

    @property
    def spec(self) -> ModelSpec:
        """The model being run."""
        return self._spec

    @property
    def device(self) -> str:
        """The torch device: 'cpu' or 'cuda:0'."""
        return str(self._device)

    def infer(
        self, left: Float32Array, right: Float32Array
    ) -> tuple[Float32Array, Float32Array | None]:
        """Match one pair; see `Backend.infer`."""
        try:
            with torch.inference_mode(), self._autocast():
                disparity, confidence = self._model(
                    torch.from_numpy(left).to(self._device),
                    torch.from_numpy(right).to(self._device),
                )
            return disparity[0, 0].float().cpu().numpy(), confidence[0, 0].float().cpu().numpy()
        except torch.OutOfMemoryError as error:
            raise BackendError(
                f'torch on {self._device} ran out of memory; lower input_scale'
            ) from error

    def close(self) -> None:
        """Free the device's memory."""
        del self._model
        if self._device.type == 'cuda':
            torch.cuda.empty_cache()

    def _autocast(self) -> AbstractContextManager[object]:
        if self._precision == 'fp32':
            return nullcontext()
        return torch.autocast(self._device.type, _REDUCED[self._precision])
