"""The core stands without ROS and without PyTorch, and its rooms do not drag each other in."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import dtp_stereo_ros
from dtp_stereo_ros.cli import COMMANDS

_PACKAGE = Path(dtp_stereo_ros.__file__).parent

_ROS = (
    'rclpy',
    'cv_bridge',
    'message_filters',
    'ament_index_python',
    'launch',
    'launch_ros',
    'rcl_interfaces',
    'builtin_interfaces',
    'sensor_msgs',
    'stereo_msgs',
    'std_msgs',
    'std_srvs',
    'rosgraph_msgs',
    'diagnostic_msgs',
)
_RUNTIMES = ('torch', 'onnxruntime', 'openvino', 'tensorrt', 'cuda')
_TRAINING = ('torch_pruning', 'tensorboard')

# Rooms that know ROS or PyTorch.
_OUTSIDE = ('ros', 'network', 'training', 'backends.torch')
# Of these rooms, modules of declarations only, which commands make their options of.
_DECLARATIONS = (
    'network',
    'network.presets',
    'training',
    'training.learning',
    'training.learning.train_config',
    'training.settings',
    'training.teacher_names',
)


def _is_outside(name: str) -> bool:
    return any(name == room or name.startswith(f'{room}.') for room in _OUTSIDE)


def _modules(outside: bool = False) -> list[str]:
    """Every module of the core, or of the rooms that are not the core."""
    names = []
    for path in sorted(_PACKAGE.rglob('*.py')):
        parts = path.relative_to(_PACKAGE).with_suffix('').parts
        name = '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)
        if _is_outside(name) is outside:
            names.append(f'dtp_stereo_ros.{name}' if name else 'dtp_stereo_ros')
    return names


def _python(code: str) -> None:
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def _blocking(*packages: str) -> str:
    """Code that makes packages unimportable."""
    return f'import sys\nfor name in {packages!r}: sys.modules[name] = None\n'


def test_the_core_imports_without_ros_pytorch_and_training_tools() -> None:
    modules = _modules()
    rooms = {
        'pipeline', 'messages', 'pairing', 'health', 'recordings', 'fleet', 'evaluation',
        'commands',
    }  # fmt: skip
    assert {f'dtp_stereo_ros.{room}' for room in rooms} <= set(modules)
    declared = {f'dtp_stereo_ros.{name}' for name in _DECLARATIONS}
    outside = [name for name in _modules(outside=True) if name not in declared]
    code = _blocking(*_ROS, *_TRAINING, 'torch', *outside)
    for name in modules:
        if name.endswith(('backends.onnxruntime', 'backends.openvino')):
            pytest.importorskip(name.rpartition('.')[2])
        code += f'import {name}\n'
    _python(code)


def test_nothing_of_the_core_imports_ros_later_on() -> None:
    """In functions too: whoever needs ROS asks a module of `ros`."""
    found = {
        (name, imported)
        for name in _modules()
        for imported in _imports(name)
        if imported.partition('.')[0] in _ROS
    }
    assert found == set()


def test_only_commands_and_ros_know_the_node() -> None:
    found = {
        name.split('.')[1]
        for name in _modules()
        for imported in _imports(name)
        if imported.startswith('dtp_stereo_ros.ros.')
    }
    assert found == {'commands', 'start'}


def _imports(module: str) -> set[str]:
    """Absolute names that a module imports anywhere, for its types alone or not."""
    path = _PACKAGE.parent.joinpath(*module.split('.'))
    package = path.is_dir()
    file = path / '__init__.py' if package else path.with_suffix('.py')
    parts = module.split('.') if package else module.split('.')[:-1]
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = parts[: len(parts) - node.level + 1] if node.level else []
            base = '.'.join([*above, *([node.module] if node.module else [])])
            found.update(f'{base}.{alias.name}' for alias in node.names)
    return found


def test_the_pipeline_imports_no_runtime_until_a_backend_is_asked_for() -> None:
    _python(
        _blocking(*_ROS, *_TRAINING, *_RUNTIMES)
        + 'import dtp_stereo_ros.pipeline, dtp_stereo_ros.cli\n'
        + 'from dtp_stereo_ros.config import PipelineConfig\n'
        + 'p = dtp_stereo_ros.pipeline.StereoPipeline(PipelineConfig(backend="sgbm"))\n'
        + 'assert p.backend.name == "sgbm"'
    )


@pytest.mark.parametrize(
    ('module', 'others'),
    [
        ('sgbm', ('torch', 'onnxruntime', 'openvino')),
        ('onnxruntime', ('torch', 'openvino')),
        ('openvino', ('torch', 'onnxruntime')),
        ('torch', ('onnxruntime', 'openvino')),
        # Its packages are imported when it starts.
        ('tensorrt', _RUNTIMES),
    ],
)
def test_one_backend_does_not_import_another(module: str, others: tuple[str, ...]) -> None:
    if module not in ('sgbm', 'tensorrt'):
        pytest.importorskip(module)
    _python(_blocking(*others) + f'import dtp_stereo_ros.backends.{module}')


@pytest.mark.parametrize('command', list(COMMANDS))
def test_help_of_one_command_imports_no_other(command: str) -> None:
    others = [
        f'dtp_stereo_ros.commands.{path.stem}'
        for path in (_PACKAGE / 'commands').glob('*.py')
        if path.stem
        not in (
            *('__init__', 'options', 'training_options', 'demo_report', 'recorded'),
            *('fleet_options', 'given_pair'),
            COMMANDS[command],
        )
    ]
    assert len(others) >= 2
    _python(
        _blocking(*_ROS, *_TRAINING, *_RUNTIMES, *others)
        + 'from dtp_stereo_ros.cli import main\n'
        + f'try: main(["{command}", "-h"])\n'
        + 'except SystemExit as done: assert done.code == 0'
    )
