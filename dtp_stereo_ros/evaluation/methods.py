"""Methods as settings, so that other processes can open what this one has opened."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace

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


def opened(configs: Iterable[PipelineConfig]) -> list[Method]:
    """Open methods, say on stderr what was chosen for each, and give them names of their own.

    Raises:
        StereoError: one cannot start.
    """
    methods: dict[str, Method] = {}
    for config in configs:
        pipeline = StereoPipeline(config)
        print(pipeline.choice, file=sys.stderr)
        spec = pipeline.backend.spec
        name = method_name(pipeline.backend.name, spec.name, spec.precision)
        if name in methods:
            # Two files of one name; the scores of a method are found by its name.
            name = f'{name} {config.model}'
        methods[name] = Method(name, pipeline)
    return list(methods.values())


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
