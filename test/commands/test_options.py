"""Options made from the settings of the pipeline."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from scene_bag import planes, write_scene_bag

from dtp_stereo_ros.cli import main
from dtp_stereo_ros.commands.options import add_pipeline_options, pipeline_config
from dtp_stereo_ros.config import PipelineConfig, tunables


def _parsed(words: list[str], *, given_only: bool = False) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_pipeline_options(parser, given_only=given_only)
    return parser.parse_args(words)


@pytest.mark.parametrize(
    'name', [name for name in tunables(PipelineConfig) if getattr(PipelineConfig(), name) is False]
)
def test_a_switch_is_on_where_it_is_typed(name: str) -> None:
    word = '--' + name.replace('_', '-')
    assert getattr(pipeline_config(_parsed([word])), name) is True
    assert getattr(pipeline_config(_parsed([])), name) is False
    with pytest.raises(SystemExit):
        _parsed([word, 'false'])


def test_only_settings_that_are_typed_replace_others() -> None:
    base = PipelineConfig(torch_compile=True, threads=3, min_depth=0.5)
    args = _parsed(['--min-depth', '0.25', '--scale', '0.5'], given_only=True)
    expected = PipelineConfig(torch_compile=True, threads=3, min_depth=0.25, input_scale=0.5)
    assert pipeline_config(args, base) == expected


@pytest.mark.parametrize('value', ['nan', 'inf', '-inf', '1e300', '-1'])
@pytest.mark.parametrize(
    'command',
    [
        ['bag', '{bag}', '--backend', 'sgbm', '--start'],
        ['bag', '{bag}', '--backend', 'sgbm', '--duration'],
        ['view', '{bag}', '--backend', 'sgbm', '--save', 'o.rrd', '--duration'],
        ['replay', '{bag}', '--start'],
        ['replay', '{bag}', '--rate'],
        ['demo', '--rate'],
        ['doctor', '--seconds'],
        ['bench', '--node', '--seconds'],
        ['render', '--assets', '{bag}', '--megabytes'],
        ['infer', 'l', 'r', '-o', 'o.png', '--max-depth'],
    ],
)
def test_a_number_out_of_range_is_one_line(
    tmp_path: Path, command: list[str], value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = str(tmp_path / 'b')
    if command[0] in ('bag', 'view', 'replay'):
        write_scene_bag(tmp_path / 'b', planes(1))
    assert main([word.format(bag=bag) for word in command[:-1]] + [f'{command[-1]}={value}']) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if 'error' in line]
    assert command[-1].strip('-').replace('-', '_') in line
