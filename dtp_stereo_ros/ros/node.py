"""`DepthNode`: wires cameras, worker, pipeline, parameters and diagnostics together."""

from __future__ import annotations

import contextlib
import logging
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterNotDeclaredException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from ..config import NodeConfig, PipelineConfig
from ..errors import BackendError, StereoError
from ..messages.images import set_other_decoder
from ..pipeline import StereoPipeline
from .core_log import ToRos
from .cv_bridge_decoder import CvBridgeDecoder
from .diagnostics import Diagnostics
from .output_thread import OutputThread
from .parameters import Parameters
from .processor import Pair, Processor
from .reconfiguration import Reconfiguration
from .stereo_camera import StereoCamera
from .transitions import refuse_impossible
from .worker import Worker

_CORE_LOGGER = logging.getLogger(__name__.partition('.')[0])

_SUCCESS = TransitionCallbackReturn.SUCCESS
_FAILURE = TransitionCallbackReturn.FAILURE
_ERROR = TransitionCallbackReturn.ERROR

_STOP_WAIT_S = 10.0
# How often subscribers are counted and the worker is watched.
_WATCH_PERIOD_S = 0.1
# A look at the worker that comes so late has not been awaited, it was kept from running.
_STOOD_S = 1.0


class DepthNode(LifecycleNode):
    """Rectified stereo images in; disparity, depth and point cloud out.

    A managed node: configuring loads the model, activating subscribes, deactivating unsubscribes,
    cleaning up frees the model. With `autostart`, `begin` does the first two.

    The executor's thread only receives and pairs; all computing happens in one worker thread
    with one model, which takes the newest pair of each camera in turn.

    Args:
        name: of the node, before remapping.
        **kwargs: as of `rclpy.node.Node`.

    Attributes:
        state: 'unconfigured', 'inactive', 'active' or 'finalized'.
        cameras: the cameras, in the order of the parameter `cameras`.
        pipeline: what matches pairs; None unless the node is configured.
        failure: why the process must end: the worker died or hangs; '' while all is well.

    Raises:
        StereoError: a parameter is invalid.
    """

    def __init__(self, name: str = 'depth_node', **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        refuse_impossible(self)
        self._core_log = ToRos(self.get_logger())
        _CORE_LOGGER.addHandler(self._core_log)
        set_other_decoder(CvBridgeDecoder(self.get_logger().warning))
        self.state = 'unconfigured'
        self.failure = ''
        self._compiling = False
        self._watched_s = time.monotonic()
        self.parameters = Parameters(self, self._parameter_overrides)
        self.worker: Worker | None = None
        self.pipeline: StereoPipeline | None = None
        self._output_thread: OutputThread | None = None
        self._reconfiguration: Reconfiguration | None = None
        self._refusal: StereoError | None = None
        self._starting = False
        config = self.parameters.node
        self.cameras = [StereoCamera(self, name, config, self._enqueue) for name in config.cameras]
        self._diagnostics = Diagnostics(self, self.cameras, config.diagnostics_period)
        self._every(config.diagnostics_period, self._report)
        self._every(_WATCH_PERIOD_S, self._watch)
        self.parameters.on_change(self._apply)

    def begin(self) -> None:
        """Configure and activate, with `autostart`; else tell what is waited for.

        Raises:
            StereoError: the backend cannot start.
        """
        if not self.parameters.node.autostart:
            name = self.get_fully_qualified_name()
            self.get_logger().info(
                'autostart is false: waits for a lifecycle manager, or for '
                f'ros2 lifecycle set {name} configure'
            )
            return
        self._starting = True
        started = self.trigger_configure() == _SUCCESS and self.trigger_activate() == _SUCCESS
        self._starting = False
        if not started:
            raise self._refusal or BackendError('the node could not start; see its log')

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """As of rclpy, which calls it for each request of the parameter services.

        Tools do not show why a value is refused, so it stands in the log, and the value in force
        is sent to them again.
        """
        try:
            result = super().set_parameters_atomically(parameter_list)
        except ParameterNotDeclaredException:
            self.parameters.warn_of_unknown([parameter.name for parameter in parameter_list])
            raise
        if not result.successful:
            self.parameters.tell_refused(parameter_list, result.reason)
        return result

    def describe_parameter(self, name: str) -> ParameterDescriptor:
        """As of rclpy, for the parameter services: with the range of a slider."""
        return self.parameters.with_slider(super().describe_parameter(name))

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model and start the worker, idle."""
        return self._guarded(self._configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe, and publish from now on."""
        return self._guarded(self._activate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe; a frame in work is not published any more."""
        return self._guarded(self._deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop the worker and free the model."""
        return self._guarded(self._cleanup)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop for good, from any state; the process ends then."""
        result = self._guarded(self._cleanup)
        self._enter('finalized')
        return result

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After a bug in a transition: back to 'unconfigured', with everything freed."""
        return self._guarded(self._cleanup)

    def close(self) -> None:
        """Stop the worker, free the backend and destroy the node."""
        with contextlib.suppress(BackendError):  # a worker that hangs ends with the process
            self._cleanup()
        _CORE_LOGGER.removeHandler(self._core_log)
        set_other_decoder(None)
        self.destroy_node()

    def destroy_node(self) -> None:
        """As of rclpy, and free the middleware.

        rclpy leaves the state machine, and with it the participant of DDS, until the object of the
        node is collected: a process that ends before would leave its shared memory behind, and
        Fast DDS would often reach the next one by UDP only, which loses large images.
        """
        super().destroy_node()
        self.__dict__.pop('_state_machine', None)

    def report_failure(self) -> None:
        """Report in the log and in diagnostics why the process is about to end."""
        self.get_logger().error(self.failure)
        self._report()

    def _guarded(self, transition: Callable[[], None]) -> TransitionCallbackReturn:
        """Run a transition; rclpy would swallow what it raises without a word."""
        self._refusal = None
        try:
            transition()
        except StereoError as error:
            self._refusal = error
            if not self._starting:  # else it is raised, and printed once
                self.get_logger().error(str(error))
            return _FAILURE
        except Exception:
            self.get_logger().fatal(f'a transition failed\n{traceback.format_exc()}')
            return _ERROR
        return _SUCCESS

    def _configure(self) -> None:
        pipeline = StereoPipeline(self.parameters.pipeline)
        self.get_logger().info(pipeline.choice)
        processor = Processor(
            pipeline=pipeline,
            parameters=self.parameters,
            now_ns=self._now_ns,
            alive=self.context.ok,
            node_name=self.get_fully_qualified_name(),
        )
        if self.parameters.node.overlap_publishing:
            self._output_thread = OutputThread()
            processor = replace(processor, hand_over=self._output_thread.run)
        self.pipeline = pipeline
        self.worker = Worker(processor.process, self._worker_died)
        self.worker.start()
        self._reconfiguration = Reconfiguration(
            pipeline,
            self.worker,
            on_choice=lambda choice: self.get_logger().info(choice),
            on_failure=self.parameters.restore,
        )
        self._enter('inactive')

    def _activate(self) -> None:
        if not (self.worker and self.worker.alive):
            raise BackendError(
                'the worker has been told to end, in a cleanup that took too long; clean up again'
            )
        try:
            for camera in self.cameras:
                camera.activate()
        except Exception:
            for camera in self.cameras:
                camera.deactivate()
            raise
        self._enter('active')
        self.parameters.warn_of_unread_qos()

    def _deactivate(self) -> None:
        for camera in self.cameras:
            camera.deactivate()
        if self.worker:
            self.worker.forget()
        self._enter('inactive')

    def _cleanup(self) -> None:
        if self.state == 'active':
            self._deactivate()
        if self.worker and not self.worker.stop(_STOP_WAIT_S):
            raise BackendError(f'the worker did not stop within {_STOP_WAIT_S:g} s')
        if self._output_thread and not self._output_thread.stop(_STOP_WAIT_S):
            raise BackendError(f'a result was not published within {_STOP_WAIT_S:g} s')
        self._output_thread = None
        if self._reconfiguration:
            self._reconfiguration.close()
        self._reconfiguration = None
        if self.pipeline:
            self.pipeline.close()
        self.worker = self.pipeline = None
        self._enter('unconfigured')

    def _enter(self, state: str) -> None:
        if self.state == 'finalized':
            return
        if state != self.state:
            self.get_logger().info(f'lifecycle: {self.state} -> {state}')
        self.state = state

    def _every(self, period_s: float, call: Callable[[], None]) -> None:
        # The steady clock goes on while simulated time stands.
        self.create_timer(period_s, call, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _enqueue(self, camera: StereoCamera, left: Any, right: Any, infos: dict[str, Any]) -> None:
        camera.statistics.pair()
        pair = Pair(camera, left, right, infos, self._now_ns(), camera.activation)
        if self.worker and self.worker.offer(pair, lane=camera.name):
            camera.statistics.drop('busy')

    def _report(self) -> None:
        self._diagnostics.tick(self.state, self.pipeline, self.failure)

    def _watch(self) -> None:
        """Subscribe on demand; take over a loaded backend; watch the worker."""
        if self._reconfiguration:
            self._reconfiguration.poll()
        if self.state == 'active':
            for camera in self.cameras:
                camera.follow_demand(self.parameters.node.max_age)
        now_s = time.monotonic()
        stood, self._watched_s = now_s - self._watched_s > _STOOD_S, now_s
        backend = self.pipeline.backend if self.pipeline else None
        if not (self.worker and backend) or self.failure:
            return
        if stood:
            # The whole process was stopped, by a debugger or docker pause.
            self.worker.restart_count()
        before, self._compiling = self._compiling, backend.compiling
        if self._compiling:
            self.worker.restart_count()
            if not before:
                text = 'compiles the model for this image size, which may take minutes'
                self.get_logger().info(f'backend {backend.name} {text}')
        timeout_s = self.parameters.node.watchdog_timeout
        if 0 < timeout_s < self.worker.busy_s():
            self.failure = (
                f'a frame has been in work for over {timeout_s:g} s: backend {backend.name} '
                'hangs; the process ends with code 1 so that it can be restarted '
                '(watchdog_timeout)'
            )

    def _worker_died(self) -> None:
        """`depth_node.main` ends the process."""
        assert self.worker is not None
        self.get_logger().fatal(self.worker.failure)
        last_line = self.worker.failure.strip().splitlines()[-1]
        self.failure = f'the worker died ({last_line}); the process ends with code 1'

    def _apply(self, pipeline: PipelineConfig, node: NodeConfig) -> None:
        """Bring checked settings into force between two frames; before configuring, keep them.

        Raises:
            StereoError: they do not work here, as is known at once (no such model); the old ones
                stay.
        """
        if self._reconfiguration:
            self._reconfiguration.request(pipeline)
        for camera in self.cameras:
            camera.inputs.reconfigure(node)
