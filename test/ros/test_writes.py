"""No parameter makes the node write a file anywhere but in its cache folder."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from rcl_interfaces.srv import GetParameters
from rclpy.node import Node

from dtp_stereo_ros import models
from dtp_stereo_ros.config import NodeConfig, PipelineConfig, tunables
from dtp_stereo_ros.errors import ModelError
from dtp_stereo_ros.ros.harness.node_process import NodeProcess
from dtp_stereo_ros.ros.harness.player import FramePublisher
from dtp_stereo_ros.ros.harness.probe import Probe
from dtp_stereo_ros.ros.service_caller import Caller, set_parameter
from tools.faults.matrix import scene

WAIT_S = 60.0
# The node under an audit hook: each file opened for writing, and each change of a folder, by
# Python code is a line in a file. What native code does is seen by looking at the folders.
PROGRAM = """
import os, sys
log = open(os.environ['WRITES'], 'w', buffering=1)
CHANGES = {'os.mkdir', 'os.rename', 'os.remove', 'os.link', 'os.symlink', 'os.truncate',
           'os.chmod', 'shutil.copyfile', 'subprocess.Popen', 'os.system'}
def hook(event, args):
    if event == 'open' and (args[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        print('open', args[0], file=log)
    elif event in CHANGES:
        print(event, args[0], file=log)
sys.addaudithook(hook)
from dtp_stereo_ros.ros.depth_node import main
sys.exit(main())
"""


def usable() -> list[str]:
    """Network backends that run the shipped model here."""
    found = []
    for name, package, ending in (
        ('openvino', 'openvino', '.onnx'),
        ('onnx', 'onnxruntime', '.onnx'),
    ):
        try:
            models.resolve(PipelineConfig().model, (ending,))
        except ModelError:
            continue
        if importlib.util.find_spec(package):
            found.append(name)
    return found


@pytest.fixture
def camera(node: Node) -> Callable[[], None]:
    publisher, frame = FramePublisher(node), scene()

    def send() -> None:
        publisher.publish(replace(frame, stamp_ns=node.get_clock().now().nanoseconds))

    return send


def results(probe: Probe, camera: Callable[[], None], count: int) -> None:
    wanted = len(probe.arrivals_s['disparity']) + count
    deadline = time.monotonic() + WAIT_S
    while len(probe.arrivals_s['disparity']) < wanted:
        assert time.monotonic() < deadline
        camera()
        probe.spin(0.1)


def in_force(name: str) -> str:
    """Value of a text parameter of the node."""
    with Caller(GetParameters, 'depth_node/get_parameters', WAIT_S) as caller:
        response = caller.call(GetParameters.Request(names=[name]))
    assert response is not None
    return str(response.values[0].string_value)


def hostile(outside: Path) -> list[tuple[str, str]]:
    """Every text parameter with paths that exist, that do not, and that climb."""
    texts = [
        name
        for cls in (PipelineConfig, NodeConfig)
        for name in tunables(cls)
        if isinstance(getattr(cls(), name), str)
    ]
    assert {'model', 'backend', 'precision', 'depth_encoding'} <= set(texts)
    paths = [f'{outside}/new', f'{outside}/new.onnx', f'{outside}/kept.onnx', f'{outside}/']
    paths += [f'../outside/x{ending}' for ending in ('.onnx', '.pt', '')]
    return [(name, path) for name in texts for path in paths]


def files(folder: Path) -> Mapping[Path, int]:
    """Everything below a folder, with the time of its last change."""
    return {p.relative_to(folder): p.lstat().st_mtime_ns for p in sorted(folder.rglob('*'))}


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Home, working, log and temporary folder of the node, and files for it to spoil."""
    for name in ('home', 'work', 'log', 'tmp', 'outside', 'code'):
        (tmp_path / name).mkdir()
    (tmp_path / 'outside' / 'kept.onnx').write_bytes(b'no model')
    (tmp_path / 'code' / 'audited.py').write_text(PROGRAM)
    for name in [n for n in os.environ if n.startswith('XDG_')]:
        monkeypatch.delenv(name)
    monkeypatch.setenv('PYTHONPATH', f'{Path(__file__).resolve().parents[2]}:{tmp_path}/code')
    monkeypatch.setenv('PYTHONDONTWRITEBYTECODE', '1')
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    monkeypatch.setenv('TMPDIR', str(tmp_path / 'tmp'))
    monkeypatch.setenv('ROS_LOG_DIR', str(tmp_path / 'log'))
    monkeypatch.setenv('WRITES', str(tmp_path / 'writes'))
    monkeypatch.chdir(tmp_path / 'work')
    yield tmp_path


def test_no_parameter_writes(node: Node, sandbox: Path, camera: Callable[[], None]) -> None:
    pytest.importorskip('onnxruntime')
    before = {n: files(sandbox / n) for n in ('home', 'work', 'tmp', 'outside', 'code')}
    probe = Probe(node, ('disparity', 'points2', 'depth/image', 'confidence'))
    backends = [*usable(), 'sgbm']
    settings = {'backend': backends[0], 'disparity_range': 64}
    with NodeProcess(settings, {}, sandbox / 'node.log', module='audited') as process:
        results(probe, camera, 2)
        for name, value in hostile(sandbox / 'outside'):
            result = set_parameter('depth_node', name, value, WAIT_S)
            assert result is not None
            done, reason = result
            # SGBM needs no model, so that any text will do for one. Whether a model has such an
            # output is known only when it has been loaded.
            any_text = name == 'model_output' or (name == 'model' and backends == ['sgbm'])
            assert done or reason
            if done and not any_text:
                # A backend is tried for 0.2 s before the answer; on a busy machine that takes
                # longer, and the value is taken back then.
                deadline = time.monotonic() + WAIT_S
                while in_force(name) == value:
                    assert time.monotonic() < deadline, (name, value)
                    time.sleep(0.5)
        for backend in backends[1:]:
            # Refused until the name of an output is taken back, when the model has been loaded.
            deadline = time.monotonic() + WAIT_S
            while True:
                answer = set_parameter('depth_node', 'backend', backend, WAIT_S)
                if answer == (True, ''):
                    break
                assert time.monotonic() < deadline, answer
                time.sleep(0.5)
            results(probe, camera, 2)
        # Ctrl-C after a swap is obeyed, too.
        assert process.stop() == 0, process.output()
    probe.close()
    assert {name: files(sandbox / name) for name in before} == before
    written = (sandbox / 'writes').read_text().splitlines()
    assert [line for line in written if '/dev/null' not in line] == []
    assert len(files(sandbox / 'log')) == 1


@pytest.mark.skipif(not usable(), reason='auto needs a network backend')
def test_auto_writes_its_times_only(node: Node, sandbox: Path, camera: Callable[[], None]) -> None:
    before = {n: files(sandbox / n) for n in ('work', 'tmp', 'outside', 'code')}
    cache = sandbox / 'home' / '.cache'
    probe = Probe(node, ('disparity',))
    with NodeProcess({'backend': 'auto'}, {}, sandbox / 'node.log', module='audited') as process:
        results(probe, camera, 1)
        assert process.stop() == 0, process.output()
    probe.close()
    assert {name: files(sandbox / name) for name in before} == before
    lines = (sandbox / 'writes').read_text().splitlines()
    # A number is a file that is open already.
    changed = [path for path in (line.split(' ', 1)[1] for line in lines) if not path.isdigit()]
    assert [path for path in changed if not path.startswith((str(cache), '/dev/null'))] == []
    # None where the machine is too busy to tell.
    found = [path for path in files(sandbox / 'home') if (sandbox / 'home' / path).is_file()]
    assert all(path.parent == Path('.cache/dtp_stereo/auto') for path in found)
    assert len(found) <= 1
