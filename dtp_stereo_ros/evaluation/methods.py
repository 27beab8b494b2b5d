"""Methods as settings, so that other processes can open what this one has opened."""

from __future__ import annotations

import sys
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..config import PipelineConfig, tunables
from ..pipeline import StereoPipeline
from . import block_matching
from .block_matching import BlockMatcher
from .runner import Method, method_name


@dataclass(frozen=True)
class MethodSettings:
    """A method that can be opened.

    Attributes:
        name: in reports.
        config: of its pipeline, without 'auto'; None is block matching.
        sha256: of its model, so that another file of that name is another method.
    """

    name: str
    config: PipelineConfig | None
    sha256: str = ''

    def open(self, threads: int) -> Method:
        """Open it.

        Args:
            threads: of the CPU, where the settings leave that open.

        Raises:
            StereoError: it cannot start.
        """
        if self.config is None:
            return Method(self.name, BlockMatcher())
        own = replace(self.config, threads=self.config.threads or threads)
        return Method(self.name, StereoPipeline(own))


def deciding(method: Method) -> dict[str, Any]:
    """Settings of a method that decide both its errors and its time; {} of block matching."""
    settings = settings_of(method)
    if settings.config is None:
        return {}
    names = ('input_scale', 'left_right_check')
    return {'sha256': settings.sha256, **{n: getattr(settings.config, n) for n in names}}


def disagreement(name: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """The first of the settings in two files that differs, in words; '' where none does.

    Args:
        name: of the method.
        first, second: of `deciding`; files of earlier versions have none.
    """
    for key in first:
        if key in second and first[key] != second[key]:
            if key == 'sha256':
                return f'{name} is of another model file'
            return f'{name} is with {key} {first[key]}, here it is {second[key]}'
    return ''


def close_all(methods: Iterable[Method]) -> None:
    """Free methods."""
    for method in methods:
        method.pipeline.close()


def opened(configs: Iterable[PipelineConfig]) -> list[Method]:
    """Open methods, say on stderr what was chosen for each, and give them names of their own.

    Raises:
        StereoError: one cannot start.
    """
    methods: dict[str, Method] = {}
    for config in configs:
        pipeline = StereoPipeline(config)
        print(pipeline.choice, file=sys.stderr)
        name = own_name(pipeline, config.model, methods)
        methods[name] = Method(name, pipeline)
    return list(methods.values())


def own_name(pipeline: StereoPipeline, model: str, taken: Container[str]) -> str:
    """The name of a method in reports, with the model as it was typed where another has it."""
    spec = pipeline.backend.spec
    name = method_name(pipeline.backend.name, spec.name, spec.precision)
    # Two files of one name; the scores of a method are found by its name.
    return f'{name} {model}' if name in taken else name


def settings_of(method: Method) -> MethodSettings:
    """The settings of an open method: with the backend and the precision that were chosen."""
    pipeline = method.pipeline
    if not isinstance(pipeline, StereoPipeline):
        return MethodSettings(block_matching.NAME, None)
    config, spec = pipeline.config, pipeline.backend.spec
    config = replace(config, backend=pipeline.backend.name)
    if (
        config.precision == 'auto'
        and spec.precision in tunables(PipelineConfig)['precision'].choices
    ):
        config = replace(config, precision=spec.precision)
    return MethodSettings(method.name, config, spec.sha256)
