"""Device and arithmetic of a run."""

from __future__ import annotations

import os
import time

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from dtp_stereo_ros.errors import ConfigError
from dtp_stereo_ros.timing import in_turn

from ..settings import Computing

# Longer than the threads of gloo wait for a core.
_IDLE_S = 0.3


def accelerator_for(computing: Computing) -> Accelerator:
    """The processes and the device that this run has.

    Raises:
        ConfigError: the device is neither auto nor cpu, or the processes that were launched are
            not joined.
    """
    if computing.device not in ('auto', 'cpu'):
        raise ConfigError(
            f'device {computing.device!r}: give auto or cpu; CUDA_VISIBLE_DEVICES picks among GPUs'
        )
    if AcceleratorState._shared_state:
        # Runs one after the other in a process may differ in precision; processes stay joined.
        AcceleratorState._reset_state(reset_partial_state=AcceleratorState().num_processes == 1)
    launched = int(os.environ.get('WORLD_SIZE', '1'))
    # Accelerate joins processes without a GPU only where it is told to use the CPU.
    cpu = computing.device == 'cpu' or (launched > 1 and not torch.cuda.is_available())
    precision = 'bf16' if computing.precision == 'bf16' else 'no'
    accelerator = Accelerator(mixed_precision=precision, cpu=cpu)
    if accelerator.num_processes != launched:
        raise ConfigError(
            f'{launched} processes were launched and do not train together; start one, or give '
            '--device cpu'
        )
    return accelerator


def leave_group(accelerator: Accelerator) -> None:
    """Leave the processes that trained together; the last use of the accelerator.

    Several that end without leaving may abort each other. Those of the CPU are joined by gloo, and
    PyTorch 2.13 keeps its threads to the end where a network was prepared for them. One that frees
    the tensors of its last work while Python ends aborts the process, which is why they get time.
    """
    accelerator.wait_for_everyone()
    if accelerator.num_processes > 1 and accelerator.device.type == 'cpu':
        time.sleep(_IDLE_S)
    accelerator.end_training()


def bf16_cost() -> float:
    """Time of a convolution and its gradient on the CPU in bfloat16, over that in float32.

    Below 1 on processors that are made for it; others have the instructions and are slow in them.
    """
    with torch.random.fork_rng(devices=[]):
        layer = torch.nn.Conv2d(64, 64, 3, padding=1)
        image = torch.rand(2, 64, 48, 64).contiguous(memory_format=torch.channels_last)

    def step(bf16: bool) -> None:
        with torch.autocast('cpu', torch.bfloat16, enabled=bf16):
            layer(image).float().sum().backward()

    times_s = in_turn([lambda: step(True), lambda: step(False)], rounds=4, warm_up=1)
    bf16_s, fp32_s = map(min, times_s)
    return bf16_s / fp32_s
