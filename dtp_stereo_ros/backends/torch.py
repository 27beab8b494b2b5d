"""PyTorch: the reference, on CUDA where there is a device."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np
import torch
from torch import Tensor, nn

from .. import models
from ..config import PipelineConfig
from ..errors import BackendError, one_line
from ..models import ModelSpec
from ..network import checkpoint
from ..network.memory import channels_last, lay_out
from ..parity import Parity, allowed_text
from ..stereo import Float32Array
from . import trial
from .base import Image, size_of
from .torch_frames import Frames

# PyTorch's own choice; a number set later counts for the whole process.
_ALL_CORES = torch.get_num_threads()

_REDUCED = {'bf16': torch.bfloat16, 'fp16': torch.float16}
# Compute capability of the first GPUs that calculate in bf16 (Ampere); PyTorch emulates it on
# older ones.
_BF16_SINCE = (8, 0)
# Algorithms of cuDNN that are tried for each convolution. To try all took half a minute.
_ALGORITHMS = 2

_log = logging.getLogger(__name__)


class TorchBackend:
    """Runs a .pt checkpoint. 'auto' precision is fp32: this backend is what others are held to.

    In bf16 and fp16 convolutions and products are computed in that precision (autocast); the
    network reads disparity, its correction and its upsampling from them in fp32.

    Raises:
        ModelError: the checkpoint is missing or unreadable.
        BackendError: the device lacks the precision.
    """

    name = 'torch'

    def __init__(self, config: PipelineConfig) -> None:
        path = models.resolve(config.model, ('.pt',))
        precision = 'fp32' if config.precision == 'auto' else config.precision
        on_cuda = torch.cuda.is_available()
        self._device = torch.device('cuda:0' if on_cuda else 'cpu')
        _check_precision(precision, self._device)
        self._threads = config.threads or _ALL_CORES
        self._precision = precision
        self._model = checkpoint.load(path).to(self._device)
        lay_out(self._model)
        if on_cuda and precision in _REDUCED:
            _reduce(self._model, _REDUCED[precision])
        # What runs: the model itself, or what torch.compile makes of it.
        self._network: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = self._model
        if config.torch_compile:
            self._network = torch.compile(self._model, dynamic=False)
        self._known_sizes: set[tuple[int, int]] = set()
        self.compiling = False
        self._frames = Frames(torch, self._forward, self._device) if on_cuda else None
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

    def infer(self, left: Image, right: Image) -> tuple[Float32Array, Float32Array | None]:
        """Match one pair; see `Backend.infer`."""
        size = size_of(left)
        # OpenMP keeps the number for each calling thread.
        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)
        try:
            if self._network is not self._model and size not in self._known_sizes:
                self._compile(size)
            if self._frames is not None:
                return self._frames.run(left, right)
            return self._outputs(left, right)
        except torch.cuda.OutOfMemoryError as error:
            raise BackendError(
                f'torch on {self._device} ran out of memory; lower input_scale'
            ) from error
        except RuntimeError as error:
            raise BackendError(f'torch on {self._device} failed: {one_line(error)}') from error

    def close(self) -> None:
        """Free the device's memory."""
        del self._model, self._network
        if self._frames is not None:
            self._frames.close()

    def _compile(self, size: tuple[int, int]) -> None:
        """Compile for an image size, and go on with the plain network where the answers differ.

        Raises:
            BackendError: it cannot be compiled.
        """
        pair = trial.pair_of(size)
        self.compiling = True
        try:
            found = self._outputs(pair.left, pair.right)
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:
            reason = one_line(error).split(' Set TORCH')[0]  # how to see PyTorch's own stack
            raise BackendError(
                f'torch on {self._device} cannot compile the network: {reason}; '
                'set torch_compile to false'
            ) from error
        finally:
            self.compiling = False
        compiled, self._network = self._network, self._model
        parity = Parity.of(found, self._outputs(pair.left, pair.right))
        if parity.fits(self._precision):
            self._network = compiled
            self._known_sizes.add(size)
            return
        _log.warning(
            'torch: the compiled network differs from the plain one (%s; %s), which runs from '
            'now on; set torch_compile to false', parity.text(), allowed_text(self._precision),
        )  # fmt: skip

    def _outputs(self, left: Image, right: Image) -> tuple[Float32Array, Float32Array]:
        """Disparity and confidence of a pair, without a graph."""
        images = (
            # Of one that must not be written PyTorch would warn.
            torch.from_numpy(np.require(image, requirements='W').reshape(1, *image.shape[-3:]))
            for image in (left, right)
        )
        with torch.inference_mode():
            found = self._forward(*(image.to(self._device) for image in images))
        disparity, confidence = (output[0, 0].cpu().numpy() for output in found)
        return disparity, confidence

    def _forward(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Images on the device to disparity and confidence, (1, 1, h, w) float32."""
        left, right = (_planes(image) for image in (left, right))
        with ExitStack() as arithmetic:
            if self._device.type == 'cuda':
                # With TF32, cuDNN's own choice, an fp32 convolution has 10 bits of mantissa: what
                # is reported is what runs.
                arithmetic.enter_context(
                    torch.backends.cudnn.flags(
                        enabled=True,
                        benchmark=True,
                        benchmark_limit=_ALGORITHMS,
                        allow_tf32=False,
                    )
                )
            if self._precision in _REDUCED:
                # A graph would hold the casts of cached weights, whose memory is freed.
                arithmetic.enter_context(
                    torch.autocast(
                        self._device.type, _REDUCED[self._precision], cache_enabled=False
                    )
                )
            disparity, confidence = self._network(left, right)
        return disparity.float(), confidence.float()


def _planes(image: Tensor) -> Tensor:
    """Float32 (1, 3, H, W) in channels-last memory of such or of uint8 (1, H, W, 3)."""
    if image.dtype == torch.uint8:
        return image.permute(0, 3, 1, 2).float()
    return channels_last(image)


def _check_precision(precision: str, device: torch.device) -> None:
    """Refuse a precision that a device does not have, or only emulates."""
    if device.type == 'cpu':
        if precision == 'fp16':
            raise BackendError(
                'backend torch has fp16 on CUDA only; set precision to auto or bf16'
            )
    elif precision == 'bf16' and torch.cuda.get_device_capability(device) < _BF16_SINCE:
        raise BackendError(
            f'backend torch: {torch.cuda.get_device_name(device)} has no bf16; set precision to '
            'auto or fp16'
        )


def _reduce(network: nn.Module, dtype: torch.dtype) -> None:
    """Weights of convolutions in the precision that they are used in, instead of cast each time.

    Normalisation and all other weights stay in fp32.
    """
    for module in network.modules():
        if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            module.to(dtype)
