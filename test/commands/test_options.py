"""Options made from the settings of the pipeline."""

from __future__ import annotations

import argparse

import pytest

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
