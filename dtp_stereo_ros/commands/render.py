"""`dtp-stereo render`: stereo pairs with truth from free 3D assets."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import ConfigError
from ..sizes import parse_size
from .training_options import missing

_SMALLEST_PX = 32

HELP = 'render training pairs from free 3D assets'

DESCRIPTION = """\
Render pairs of rooms with furniture, of streets and of tracks, with exact disparity of both views
and occlusion, into a folder for `dtp-stereo train --data rendered:OUT`.

ASSETS is a folder with unpacked Debian packages, any of sweethome3d-furniture (unzip its .sh3f
files too), supertuxkart-data, torcs-data and flightgear-data-models; or a file packed before. A
folder is packed once, into --pack; that file alone is needed afterwards.

examples:
  apt-get download sweethome3d-furniture && dpkg-deb -x sweethome3d-furniture_*.deb assets
  for f in assets/usr/share/sweethome3d/furniture/*.sh3f; do unzip -d "${f%.sh3f}" "$f"; done
  dtp-stereo render --assets assets --textures photos --count 3000 --out pairs --workers 8
  dtp-stereo train --data rendered:pairs --out runs/rooms

The same command continues a call that was stopped. A larger COUNT adds pairs."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('--assets', type=Path, required=True, metavar='ASSETS', help='see above')
    parser.add_argument(
        '--count', type=int, default=0, help='number of pairs; 0 packs the models and renders none'
    )
    parser.add_argument('--out', type=Path, metavar='DIR', help='folder of the pairs')
    parser.add_argument(
        '--textures', type=Path, metavar='DIR', help='photographs for walls, floors and materials'
    )
    parser.add_argument(
        '--pack', type=Path, metavar='FILE', help='packed file (default: ASSETS/assets.pack)'
    )
    parser.add_argument(
        '--megabytes', type=float, default=60.0, help='size of the packed file (default: 60)'
    )
    parser.add_argument('--size', default='384x640', help='HEIGHTxWIDTH px (default: 384x640)')
    parser.add_argument(
        '--seed', type=int, default=0, help='seed of all random choices (default: 0)'
    )
    parser.add_argument('--workers', type=int, default=1, help='number of processes (default: 1)')


def run(args: argparse.Namespace) -> int:
    """Pack where needed, then render."""
    if args.count < 0 or args.workers < 1:
        raise ConfigError('--count must not be negative and --workers at least 1')
    if not 0 < args.megabytes <= 1e6:
        raise ConfigError(f'--megabytes is {args.megabytes:g}, it must be above 0, to 1e+06')
    if args.seed < 0:
        raise ConfigError(f'--seed is {args.seed}, it must be at least 0')
    if args.count and args.out is None:
        raise ConfigError('--out: name the folder of the pairs')
    try:
        import embreex  # noqa: F401
        from tqdm import tqdm

        from ..training.synthetic.assets.library import Library
        from ..training.synthetic.assets.pack import pack
        from ..training.synthetic.assets.packing import PackLimits
        from ..training.synthetic.assets.writer import RenderSettings, render_folder
    except ImportError as error:
        raise missing(error) from error
    size = parse_size(args.size, '--size', 'HEIGHTxWIDTH')
    if min(size) < _SMALLEST_PX:
        raise ConfigError(f'--size {args.size}: sides must be at least {_SMALLEST_PX} px')
    packed = args.assets
    if packed.is_dir():
        packed = args.pack or args.assets / 'assets.pack'
        if not packed.exists():
            limits = PackLimits(megabytes=args.megabytes)
            models = pack(args.assets, packed, limits, args.workers)
            print(f'{packed}: {models} models, {packed.stat().st_size / 1e6:.1f} MB')
    else:
        print(f'{packed}: {len(Library(packed).models)} models')
    if args.count:
        settings = RenderSettings(packed, args.textures, size, args.seed)
        with tqdm(total=args.count, unit='pair') as bar:
            new = render_folder(
                settings,
                args.count,
                args.out,
                args.workers,
                lambda done: bar.update(done - bar.n),
            )
        print(f'{args.out}: {args.count} pairs, {new} of them new')
    return 0
