"""`DepthNode`: wires inputs, worker, pipeline, outputs, parameters and diagnostics together."""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from ..config import NodeConfig, PipelineConfig
from ..errors import BackendError, StereoError
from ..pipeline import StereoPipeline
from .counters import Statistics
from .diagnostics import Diagnostics
from .findings import Findings
from .inputs import Inputs
from .outputs import Outputs
from .parameters import Parameters
from .processor import Pair, Processor
from .worker import Worker

# A parameter service answers within this; a backend that takes longer to load reports in the log.
_CHANGE_WAIT_S = 10.0
_STOP_WAIT_S = 10.0


class DepthNode(Node):
    """Rectified stereo images in; disparity, depth and point cloud out.

    The executor's thread only receives and pairs; all computing happens in one worker thread,
    which takes the newest pair when it is free.

    Args:
        name: of the node, before remapping.
        **kwargs: as of `rclpy.node.Node`.

    Raises:
        StereoError: a parameter is invalid, or the backend cannot start.
    """

    def __init__(self, name: str = 'depth_node', **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self.parameters = Parameters(self)
        self.findings = Findings(self.get_logger())
        self.statistics = Statistics()
        self._pipeline = StereoPipeline(self.parameters.pipeline)
        self.get_logger().info(self._pipeline.choice)
        self._outputs = Outputs(self)
        self._inputs = Inputs(self, self.parameters.node, self._enqueue)
        processor = Processor(
            pipeline=self._pipeline,
            inputs=self._inputs,
            outputs=self._outputs,
            parameters=self.parameters,
            statistics=self.statistics,
            findings=self.findings,
            now_ns=self._now_ns,
            alive=self.context.ok,
        )
        self.worker = Worker(processor.process, self._worker_died)
        self._diagnostics = Diagnostics(
            self, self._inputs, self._pipeline, self.statistics, self.findings
        )
        self.create_timer(
            self.parameters.node.diagnostics_period,
            self._diagnostics.tick,
            clock=Clock(clock_type=ClockType.STEADY_TIME),  # goes on while simulation stands
        )
        self.parameters.on_change(self._apply)
        self.worker.start()

    def close(self) -> None:
        """Stop the worker, free the backend and destroy the node."""
        if self.worker.stop(_STOP_WAIT_S):
            self._pipeline.close()
        self.destroy_node()

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _enqueue(self, left: Any, right: Any) -> None:
        self.statistics.pair()
        if self.worker.offer(Pair(left, right, self._now_ns())):
            self.statistics.drop('busy')

    def _worker_died(self) -> None:
        """Loud here; `depth_node.main` ends the process."""
        self.get_logger().fatal(f'the worker died\n{self.worker.failure}')

    def _apply(self, pipeline: PipelineConfig, node: NodeConfig) -> None:
        """Bring checked settings into force between two frames.

        Raises:
            StereoError: they do not work here (no such model, backend cannot start); the old ones
                stay.
        """
        if pipeline != self._pipeline.config:
            self._change_pipeline(pipeline)
        self._inputs.reconfigure(node)

    def _change_pipeline(self, config: PipelineConfig) -> None:
        old_choice = self._pipeline.choice
        change = self.worker.between_frames(lambda: self._pipeline.reconfigure(config))
        try:
            change.result(_CHANGE_WAIT_S)
        except FutureTimeoutError:
            self.get_logger().info('the new settings come into force when the backend has loaded')
            change.add_done_callback(self._changed_late)
        except StereoError:
            raise
        except Exception as error:
            raise BackendError(f'{type(error).__name__}: {error}') from error
        if self._pipeline.choice != old_choice:
            self.get_logger().info(self._pipeline.choice)

    def _changed_late(self, change: Future[None]) -> None:
        error = change.exception()
        if error is None:
            self.get_logger().info(self._pipeline.choice)
            return
        self.get_logger().error(f'the new settings do not work, the old ones stay: {error}')
        self.parameters.restore(self._pipeline.config)
