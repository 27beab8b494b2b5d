"""Trains the light network on a GPU with pairs that the GPU itself generates.

``python -m dtp_stereo_ros.training.learning.gpu_train --textures DIR --out DIR --minutes 9`` is
``dtp-stereo train --data raycast`` with the settings that suit a lent GPU. It needs this
repository, a folder of photographs, PyTorch, Accelerate, NumPy and OpenCV. The length is in
minutes, the last checkpoint is written before they are over, and a following call goes on.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from dtp_stereo_ros.errors import ConfigError, StereoError
from dtp_stereo_ros.sizes import parse_size

from ..data.batches import GeneratorConfig
from ..data.raycast_source import RAYCAST
from .train_config import TrainConfig
from .trainer import Trainer


def _size(text: str) -> tuple[int, int]:
    try:
        return parse_size(text, '--size', 'HEIGHTxWIDTH', 32)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _width(text: str) -> tuple[str, Any]:
    name, _, value = text.partition('=')
    try:
        numbers = [int(part) for part in value.split(',')]
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r} is not NAME=NUMBER[,NUMBER]') from None
    return name, numbers[0] if len(numbers) == 1 else tuple(numbers)


def parse(arguments: list[str] | None = None) -> TrainConfig:
    """The command line as a config."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n\n')[0])
    add = parser.add_argument
    add('--textures', type=Path, help='folder of photographs')
    add('--out', type=Path, required=True, help='folder of checkpoints and log')
    add('--minutes', type=float, default=9.0, help='length of this call')
    add('--total-minutes', type=float, default=0.0, help='length of the run over all its calls')
    add('--resume', type=Path, help='folder of an earlier call, if not --out')
    add('--init', type=Path, help='checkpoint of the first weights')
    add(
        '--network', type=_width, nargs='*', default=[], help='widths, as volume=64 depths=1,2,3,2'
    )
    add('--data', action='append', help='raycast or assets:PACK, in turn')
    add('--reuse', type=float, default=1.0, help='draws of each ray-cast pair')
    add('--also', nargs='*', default=[], help='presets that are trained on the same batches')
    add('--member', default='light', help='of the family')
    add('--size', type=_size, nargs='*', default=[(288, 576)], dest='sizes', help='288x576 ...')
    add('--batch', type=int, default=64)
    add('--rate', type=float, default=2e-3)
    add('--decay-share', type=float, default=0.4)
    add('--average', type=float, default=0.998)
    add('--checkpoint-s', type=float, default=60.0)
    add('--validation', type=int, default=4, help='batches')
    add('--samples', type=int, choices=(1, 2, 4), default=1)
    add('--workers', type=int, default=6)
    add('--photos', type=int, default=400)
    add('--seed', type=int, default=0)
    add('--device', choices=('auto', 'cpu'), default='auto')
    add('--compile', action='store_true', help='the network')
    add('--compile-generator', action='store_true', help='the ray caster')
    add('--max-steps', type=int, default=0)
    args = parser.parse_args(arguments)
    return TrainConfig(
        out=args.out,
        network={'member': args.member, **dict(args.network)},
        sources=tuple(args.data or [RAYCAST]),
        data=GeneratorConfig(
            textures=args.textures,
            sizes=tuple(args.sizes),
            batch_size=args.batch,
            seed=args.seed,
            photos=args.photos,
            samples=args.samples,
            reuse=args.reuse,
            compiled=args.compile_generator,
        ),
        minutes=args.minutes,
        total_minutes=args.total_minutes,
        max_steps=args.max_steps,
        decay_share=args.decay_share,
        learning_rate=args.rate,
        average_decay=args.average,
        # A CPU has nothing to gain from it here.
        bf16=args.device == 'auto' and torch.cuda.is_available(),
        device=args.device,
        workers=args.workers,
        compile=args.compile,
        checkpoint_s=args.checkpoint_s,
        split=True,
        validation_count=args.validation,
        also=tuple(args.also),
        init=args.init,
        resume=args.resume,
        command='python -m dtp_stereo_ros.training.learning.gpu_train',
    )


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    try:
        trainer = Trainer(parse(arguments))

        def stop(*_: Any) -> None:
            trainer.stopped = True

        signal.signal(signal.SIGTERM, stop)
        trainer.run()
    except StereoError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
