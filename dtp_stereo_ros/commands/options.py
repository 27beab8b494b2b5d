"""Command line options made from `PipelineConfig`, so that no default is written twice."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any, get_type_hints

from .. import models
from ..config import PipelineConfig, Tunable, tunables, validate
from ..errors import InputError
from ..paths import split_at_commas

# Settings with a shorter option, too.
_SHORT = {'input_scale': '--scale'}


def add_pipeline_options(
    parser: argparse.ArgumentParser, *, without: Collection[str] = (), given_only: bool = False
) -> None:
    """Add an option for each pipeline setting, except those in `without`.

    With `given_only`, settings that are not typed are not among the parsed arguments.
    """
    group = parser.add_argument_group('pipeline settings')
    hints = get_type_hints(PipelineConfig)
    for field in dataclasses.fields(PipelineConfig):
        if field.name in without:
            continue
        spec = tunables(PipelineConfig)[field.name]
        kind: dict[str, Any] = {'action': 'store_true'}
        if hints[field.name] is not bool:
            kind = {
                'type': hints[field.name],
                'choices': spec.choices or None,
                'metavar': _metavar(field.name, spec),
            }
        group.add_argument(
            *filter(None, [_SHORT.get(field.name), '--' + field.name.replace('_', '-')]),
            dest=field.name,
            default=argparse.SUPPRESS if given_only else field.default,
            help=help_text(spec, field.default),
            **kind,
        )


def add_models_option(parser: argparse.ArgumentParser, *flags: str) -> None:
    """Add ``--model A[,B]`` or `flags` for a command of several models; see `models_given`."""
    spec = tunables(PipelineConfig)['model']
    default = PipelineConfig().model
    parser.add_argument(
        *(flags or ('--model',)),
        dest='models',
        type=split_at_commas,
        default=argparse.SUPPRESS,
        metavar='MODEL[,MODEL]',
        help=f'{spec.description} Default: {default}.',
    )


def models_given(args: argparse.Namespace) -> list[str]:
    """The models that are typed, also where no backend takes one.

    Raises:
        ModelError: there is no such model.
    """
    given: list[str] = getattr(args, 'models', [])
    for name in given:
        models.resolve(name, ('.onnx', '.pt'))
    return given


def check_result_file(path: Path) -> None:
    """Refuse a path of `--json FILE` whose file is none that this option has written.

    Elsewhere `--json` has no value: before `run.mcap` it would take a recording for one.

    Raises:
        InputError: it is a folder, or a file of another kind.
    """
    if path.is_dir():
        raise InputError(f'--json {path}: is a folder; name a file in it')
    if path.exists() and path.stat().st_size:
        try:
            with path.open('rb') as file:
                is_json = file.read(1) == b'{'
        except OSError as error:
            raise InputError(f'--json {path}: cannot be read ({error.strerror})') from error
        if not is_json:
            raise InputError(
                f'--json {path}: is no result file and would be lost; name another file'
            )


def without_ros(command: str, error: ImportError, extra: str = 'ros') -> InputError:
    """The error of a command where ROS 2 is missing; `extra` of the package brings it."""
    return InputError(
        f"{command} needs ROS 2: {error}; source it, or pip install 'dtp_stereo[{extra}]'"
    )


def typed_command() -> str:
    """Command line as typed, for reports and cards."""
    return shlex.join(['dtp-stereo', *sys.argv[1:]])


def pipeline_config(
    args: argparse.Namespace, base: PipelineConfig | None = None
) -> PipelineConfig:
    """The config that the parsed options describe; settings without an option are those of base.

    Args:
        args: parsed.
        base: the defaults when None.

    Raises:
        ConfigError: a value is out of range.
    """
    names = [f.name for f in dataclasses.fields(PipelineConfig) if f.name in vars(args)]
    given = {name: getattr(args, name) for name in names}
    config = dataclasses.replace(base or PipelineConfig(), **given)
    validate(config)
    return config


def _metavar(name: str, spec: Tunable) -> str:
    if spec.choices:
        return 'NAME'
    return {'px': 'PX', 'm': 'M'}.get(spec.unit, 'MODEL' if name == 'model' else 'N')


def help_text(spec: Tunable, default: object) -> str:
    """Description, range and default of a setting, for argparse."""
    text, unit = spec.description, f' {spec.unit}' if spec.unit else ''
    if spec.choices:
        text += f' One of {", ".join(spec.choices)}.'
    elif spec.maximum is not None:
        text += f' {spec.minimum} .. {spec.maximum}{unit}.'
    if default in (None, False, '', ()):
        return text.replace('%', '%%')
    return f'{text} Default: {default}.'.replace('%', '%%')
