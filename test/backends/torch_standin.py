"""A stand-in for PyTorch's CUDA, that computes on the CPU and keeps CUDA's order of events.

Every call is held to the signature that the installed PyTorch has. Copies to and from page-locked
memory happen when the stream is waited for or has other work, as late as CUDA may do them. In a
capture nothing is computed: its operations are written down, what they make holds NaN, and a
launch runs them again on the same tensors. What CUDA refuses in a capture is refused. Memory is
NaN before it is written. It says nothing about the numbers of a GPU.
"""

# The names are those of PyTorch; each function makes a whole namespace.
# ruff: noqa: C901, N801

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

_COPY = torch.ops.aten.copy_.default
# Operations whose result the host waits for.
_WAITING = {
    f'aten::{name}'
    for name in (
        'item', '_local_scalar_dense', 'is_nonzero', 'equal', 'nonzero', 'masked_select', 'unique',
    )
}  # fmt: skip


@dataclass
class State:
    """What the stand-in is told to do, and what was done.

    Attributes:
        capability: of the GPU.
        capture_fails: message of an error at the first operation of a capture.
        capture_fills_memory, run_fills_memory: the memory ends in a capture, or outside.
        run_fails: message of an error outside a capture.
        captured, launched: how often.
        graphs: that are not reset.
        cudnn: settings of cuDNN in force.
        tf32: whether convolutions might run in TF32.
        pinned: addresses of page-locked memory.
        warm: whether anything ran in the stream.
    """

    capability: tuple[int, int] = (9, 0)
    capture_fails: str = ''
    capture_fills_memory: bool = False
    run_fills_memory: bool = False
    run_fails: str = ''
    captured: int = 0
    launched: int = 0
    graphs: set[int] = field(default_factory=set)
    cudnn: dict[str, object] = field(default_factory=lambda: {'allow_tf32': True})
    tf32: set[bool] = field(default_factory=set)
    pinned: set[int] = field(default_factory=set)
    warm: bool = False


def _address(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _tensors(tree: object) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def held_to(real: Callable[..., object]) -> Callable[..., Any]:
    """A decorator: calls must fit the signature of the real function."""
    signature = inspect.signature(real)

    def decorate(own: Callable[..., object]) -> Callable[..., object]:
        @functools.wraps(own)
        def call(*arguments: Any, **named: Any) -> object:
            signature.bind(*arguments, **named)
            return own(*arguments, **named)

        return call

    return decorate


class _Stream(TorchDispatchMode):
    """Work of a stream: in order, copies as late as possible."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self._state = state
        self._pending: list[Callable[[], object]] = []
        self.capturing: _Graph | None = None

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        pinned = [t for t in _tensors((args, kwargs)) if _address(t) in self._state.pinned]
        if self.capturing is not None:
            return self._recorded(op, args, kwargs, pinned)
        if op is _COPY and pinned:
            assert kwargs.get('non_blocking') or args[2:] == (True,), 'a copy that waits'
            self.later(lambda: op(*args, **kwargs))
            return args[0]
        if pinned:  # the host looks at its memory
            return op(*args, **kwargs)
        self.finish()
        if self._state.run_fails:
            raise RuntimeError(self._state.run_fails)
        if self._state.run_fills_memory:
            raise torch.cuda.OutOfMemoryError('CUDA out of memory.')
        self._state.warm = True
        self._note(op)
        return op(*args, **kwargs)

    def _note(self, op: Any) -> None:
        if 'conv' in op.name():
            self._state.tf32.add(bool(self._state.cudnn['allow_tf32']))

    def later(self, work: Callable[[], object]) -> None:
        self._pending.append(work)

    def finish(self) -> None:
        pending, self._pending = self._pending, []
        # Not as new work of the stream, and as it was when it was put there.
        with _disable_current_modes(), torch.autocast('cpu', enabled=False):
            for work in pending:
                work()

    def _recorded(self, op: Any, args: Any, kwargs: Any, pinned: list[torch.Tensor]) -> Any:
        assert self.capturing is not None
        if self._state.capture_fails:
            raise RuntimeError(self._state.capture_fails)
        if self._state.capture_fills_memory:
            raise torch.cuda.OutOfMemoryError('CUDA out of memory.')
        if pinned or op.name() in _WAITING:
            raise RuntimeError('CUDA error: operation not permitted when stream is capturing')
        self._note(op)
        before = {_address(t) for t in _tensors((args, kwargs))}
        found = op(*args, **kwargs)
        fresh = [t for t in _tensors(found) if _address(t) not in before]
        self.capturing.operations.append((op, args, kwargs, found, bool(fresh)))
        return found


class _Graph:
    """torch.cuda.CUDAGraph."""

    @held_to(torch.cuda.CUDAGraph.__new__)
    def __init__(self, keep_graph: bool = False) -> None:
        self.operations: list[tuple[Any, Any, Any, Any, bool]] = []
        self.stream: _Stream | None = None
        self.state: State | None = None

    @held_to(torch.cuda.CUDAGraph.replay)
    def replay(self) -> None:
        assert self.stream is not None and self.state is not None, 'nothing was captured'
        assert id(self) in self.state.graphs, 'a graph that was reset'
        self.stream.later(self._run)
        self.state.launched += 1

    @held_to(torch.cuda.CUDAGraph.reset)
    def reset(self) -> None:
        if self.state is not None:
            self.state.graphs.discard(id(self))
        self.operations.clear()

    def forget(self) -> None:
        """Nothing was computed: what the operations make holds NaN."""
        for _, _, _, found, fresh in self.operations:
            for tensor in _tensors(found) if fresh else ():
                if tensor.is_floating_point():
                    tensor.fill_(float('nan'))

    def _run(self) -> None:
        for op, args, kwargs, found, fresh in self.operations:
            again = op(*args, **kwargs)
            for old, new in zip(_tensors(found), _tensors(again), strict=True) if fresh else ():
                old.copy_(new)


def standin(state: State) -> SimpleNamespace:
    """The module torch, with a GPU."""
    current: list[_Stream] = []

    class Stream:
        @held_to(torch.cuda.Stream.__new__)
        def __init__(self, device: Any = None, priority: int = 0) -> None:
            self.queue = _Stream(state)
            self.waited_for: list[object] = []

        @held_to(torch.cuda.Stream.wait_stream)
        def wait_stream(self, stream: object) -> None:
            self.waited_for.append(stream)

        @held_to(torch.cuda.Stream.synchronize)
        def synchronize(self) -> None:
            assert self.queue.capturing is None, 'waits in a capture'
            self.queue.finish()

    default = Stream()

    @held_to(torch.cuda.stream)
    @contextmanager
    def stream(stream: Stream) -> Iterator[None]:
        assert default in stream.waited_for, 'the weights may not be there yet'
        current.append(stream.queue)
        try:
            with stream.queue:
                yield
        finally:
            current.pop()

    class graph:
        @held_to(torch.cuda.graph.__init__)
        def __init__(
            self, cuda_graph: _Graph, stream: Stream, capture_error_mode: str = 'global'
        ) -> None:
            assert capture_error_mode in ('global', 'thread_local', 'relaxed')
            assert state.warm, 'libraries are not initialised'
            assert current[-1] is stream.queue
            self._graph, self._queue = cuda_graph, stream.queue

        def __enter__(self) -> None:
            self._queue.finish()
            self._queue.capturing = self._graph

        def __exit__(self, kind: object, *_: object) -> None:
            self._queue.capturing = None
            if kind is not None and kind is not torch.cuda.OutOfMemoryError:
                raise RuntimeError('CUDA error: operation failed due to a previous error')
            if kind is None:
                with _disable_current_modes():  # not as new work of the stream
                    self._graph.forget()
                self._graph.stream, self._graph.state = self._queue, state
                state.graphs.add(id(self._graph))
                state.captured += 1

    def empty(
        *size: Any,
        dtype: torch.dtype = torch.float32,
        pin_memory: bool = False,
        device: Any = None,
    ) -> torch.Tensor:
        assert pin_memory or device.type == 'cuda', 'copies to pageable memory wait'
        assert not current or current[-1].capturing is None or not pin_memory
        made = torch.full(size[0], float('nan') if dtype.is_floating_point else 255, dtype=dtype)
        if pin_memory:
            state.pinned.add(_address(made))
            # Another tensor may lie there later.
            weakref.finalize(made, state.pinned.discard, _address(made))
        return made

    @held_to(torch.autocast.__init__)
    def autocast(_: None, device: str, dtype: torch.dtype, cache_enabled: bool) -> Any:
        assert device == 'cuda' and not cache_enabled, 'casts of cached weights in a graph'
        return torch.autocast('cpu', dtype, cache_enabled=False)

    @held_to(torch.backends.cudnn.flags)
    @contextmanager
    def flags(**settings: object) -> Iterator[None]:
        before, state.cudnn = state.cudnn, settings
        yield
        state.cudnn = before

    module = SimpleNamespace(**{name: getattr(torch, name) for name in dir(torch)})
    module.empty = empty
    module.autocast = functools.partial(autocast, None)
    module.backends = SimpleNamespace(cudnn=SimpleNamespace(flags=flags))
    module.cuda = SimpleNamespace(
        is_available=held_to(torch.cuda.is_available)(lambda: True),
        get_device_capability=held_to(torch.cuda.get_device_capability)(
            lambda _: state.capability
        ),
        get_device_name=held_to(torch.cuda.get_device_name)(lambda _: 'Stand-in GPU'),
        current_stream=held_to(torch.cuda.current_stream)(lambda _: default),
        empty_cache=held_to(torch.cuda.empty_cache)(lambda: None),
        OutOfMemoryError=torch.cuda.OutOfMemoryError,
        Stream=Stream,
        stream=stream,
        graph=graph,
        CUDAGraph=_Graph,
    )
    return module
