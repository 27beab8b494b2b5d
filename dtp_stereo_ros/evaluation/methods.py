"""Methods as settings, so that other processes can open what this one has opened."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..config import PipelineConfig, tunables
from ..pipeline import StereoPipeline
from . import block_matching
from .block_matching import BlockMatcher
from .runner import Method


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
