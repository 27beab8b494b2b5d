"""Drives the real rqt_reconfigure against a running depth_node, as a user with a keyboard.

rqt is not on PyPI. Its sources go next to each other into one folder, from the branch of the
distribution that is meant (rolling here; a newer Qt binding works with all):

    mkdir sources && cd sources
    for name in python_qt_binding qt_gui_core rqt rqt_console rqt_reconfigure; do
      git clone --branch rolling https://github.com/ros-visualization/$name
    done
    pip install pyqt5
    apt install xvfb libxkbcommon-x11-0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 \
      libxcb-randr0 libxcb-render-util0 libxcb-xinerama0 libxcb-shape0 libegl1 libdbus-1-3

and from a source checkout of this project, with its virtual environment (`./test.sh`):

    xvfb-run python -m tools.rqt_reconfigure sources -o rqt_out

It starts a depth_node, types refused and accepted values into fields, moves every slider by one
step with an arrow key, changes the backend, and prints what the fields show beside what the node
has. It writes pictures of the window. The exit code is 1 where a field shows what is not in force.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PACKAGES = {
    'python_qt_binding': 'python_qt_binding',
    'qt_gui': 'qt_gui_core/qt_gui',
    'qt_gui_py_common': 'qt_gui_core/qt_gui_py_common',
    'rqt_gui': 'rqt/rqt_gui',
    'rqt_gui_py': 'rqt/rqt_gui_py',
    'rqt_py_common': 'rqt/rqt_py_common',
    'rqt_console': 'rqt_console',
    'rqt_reconfigure': 'rqt_reconfigure',
}
_NODE = '/depth_node'
_WAIT_S = 20.0

# Name, what is typed, whether it is taken.
_TYPED = (
    ('backend', 'magic', False),
    ('depth_encoding', '8UC1', False),
    ('depth_encoding', '16UC1', True),
    ('model', '/nowhere/model.onnx', True),  # SGBM reads none
    ('backend', 'onnx', False),
    ('model', 'dtpnet', True),
    ('max_depth', '0.5', None),  # below what the field takes
    ('max_depth', '33.3', True),
    ('correlation_window_size', '8', False),
    ('correlation_window_size', '9', True),
    ('min_depth', '2.125', True),
    ('max_depth', '2.0', False),  # min_depth is above
)


def main() -> int:
    """Run the session; 1 where a field shows what is not in force."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('sources', type=Path, help='folder with the checkouts of rqt')
    parser.add_argument('-o', '--out', type=Path, default=Path('rqt_out'), metavar='DIR')
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as prefix:
        _find(args.sources.resolve(), Path(prefix))
        return _session(args.out)


def _find(sources: Path, prefix: Path) -> None:
    """Make the packages importable, and their resources known to ament."""
    index = prefix / 'share/ament_index/resource_index/packages'
    index.mkdir(parents=True)
    for name, folder in _PACKAGES.items():
        if not (sources / folder).is_dir():
            sys.exit(f'{sources / folder} is missing; see the top of {Path(__file__).name}')
        sys.path.insert(0, str(sources / folder / 'src'))
        (index / name).touch()
        (prefix / 'share' / name).symlink_to(sources / folder)
    known = os.environ.get('AMENT_PREFIX_PATH')
    os.environ['AMENT_PREFIX_PATH'] = f'{prefix}:{known}' if known else str(prefix)


def _session(out: Path) -> int:
    from dtp_stereo_ros.ros.harness.node_process import (
        LARGE_MESSAGES_ENV,
        LOCAL_ENV,
        NodeProcess,
        domain_of,
    )

    os.environ.update(LOCAL_ENV, **LARGE_MESSAGES_ENV, ROS_DOMAIN_ID=domain_of(os.getpid()))
    import rclpy
    from python_qt_binding.QtWidgets import QApplication

    application = QApplication(sys.argv[:1])
    rclpy.init()
    log = out / 'node.log'
    with NodeProcess({'backend': 'sgbm', 'speckle_size': 50}, {}, log):
        window = _Window(application)
        failures = window.type_all(out) + window.move_sliders()
        window.picture(out / 'end.png')
        failures += window.change_backend('openvino', 'onnx', 'torch', 'sgbm')
        window.picture(out / 'backend.png')
        window.close()
    warnings = [line for line in log.read_text().splitlines() if '[WARN]' in line]
    print('\n'.join(['the log of the node:', *warnings]))
    print(f'{len(failures)} failures' + ''.join(f'\n  {text}' for text in failures))
    return int(bool(failures))


class _Window:
    """rqt_reconfigure with the node selected."""

    def __init__(self, application: Any) -> None:
        import rclpy
        from rqt_gui_py.rclpy_spinner import RclpySpinner

        self._application = application
        self.node = rclpy.create_node('rqt_gui_py_node')
        self._spinner = RclpySpinner(self.node)
        self._spinner.start()
        self._until(lambda: ('depth_node', '/') in self.node.get_node_names_and_namespaces())
        self._until(lambda: len(self.node.get_service_names_and_types_by_node(*_split())) > 5)
        time.sleep(1.0)  # the services of a node are matched one by one
        from rqt_reconfigure.param_widget import ParamWidget

        self._widget = ParamWidget(_Context(self.node))
        self._widget.resize(1100, 1250)
        self._widget.show()
        self._widget.sig_selected.emit(_NODE, True)
        self._until(lambda: bool(self._clients()) and len(self._editors()) > 30)

    def _clients(self) -> Any:
        return self._widget._param_edit_widget._param_client_widgets

    def _editors(self) -> Any:
        return self._clients()[_NODE]._editor_widgets

    def _until(self, ready: Callable[[], bool], wait_s: float = _WAIT_S) -> bool:
        deadline = time.monotonic() + wait_s
        while not ready():
            if time.monotonic() > deadline:
                return False
            self._application.processEvents()
            time.sleep(0.01)
        self._application.processEvents()
        return True

    def close(self) -> None:
        """End rqt."""
        self._widget.close()
        self._spinner.quit()
        self._spinner.wait(3000)
        self.node.destroy_node()

    def picture(self, path: Path) -> None:
        """Write what the window shows."""
        self._until(lambda: False, 0.5)
        self._widget.grab().save(str(path))

    def _field(self, name: str) -> Any:
        editor = self._editors()[name]
        return getattr(editor, '_paramval_lineedit', None) or editor._paramval_lineEdit

    def _in_force(self, name: str) -> Any:
        client = self._clients()[_NODE]._param_client
        return client.get_parameters([name])[0].value

    def _shows(self, name: str, value: Any) -> bool:
        text = self._field(name).text()
        if isinstance(value, str):
            return bool(text == value)
        return abs(float(text) - value) < 1e-6  # as many digits as rqt shows

    def _type(self, name: str, text: str) -> None:
        from python_qt_binding.QtCore import Qt
        from python_qt_binding.QtTest import QTest

        field = self._field(name)
        field.setFocus()
        field.selectAll()
        QTest.keyClicks(field, text)
        QTest.keyClick(field, Qt.Key_Return)

    def type_all(self, out: Path) -> list[str]:
        """Type values; returns what went wrong."""
        failures = []
        for number, (name, text, taken) in enumerate(_TYPED):
            before = self._in_force(name)
            began = time.monotonic()
            self._type(name, text)
            took_s = time.monotonic() - began
            value = self._in_force(name)
            expected = before if not taken else text if isinstance(before, str) else float(text)
            settled = self._until(lambda n=name, v=value: self._shows(n, v), 2.0)
            shown = self._field(name).text()
            print(f'{name} <- {text}: in force {value}, shown {shown}, {took_s * 1e3:.0f} ms')
            if taken is None:  # Qt itself does not take it
                self._field(name).setText(str(before))
            elif value != expected or not settled:
                failures.append(f'{name} <- {text}: in force {value}, shown {shown}')
            if taken is False and number == 0:
                self.picture(out / 'refused.png')
        return failures

    def move_sliders(self) -> list[str]:
        """Press an arrow key on each slider; returns what went wrong."""
        from python_qt_binding.QtCore import Qt
        from python_qt_binding.QtTest import QTest

        failures = []
        for name, editor in self._editors().items():
            slider = getattr(editor, '_slider_horizontal', None)
            if slider is None or not slider.isEnabled() or not slider.isVisibleTo(editor):
                continue
            ends = [editor._min_val_label.text(), editor._max_val_label.text()]
            before = self._in_force(name)
            at_end = slider.value() == slider.maximum()
            slider.setFocus()
            QTest.keyClick(slider, Qt.Key_Left if at_end else Qt.Key_Right)
            self._until(lambda n=name, b=before: self._in_force(n) != b, 2.0)
            value = self._in_force(name)
            settled = self._until(lambda n=name, v=value: self._shows(n, v), 2.0)
            shown = self._field(name).text()
            print(f'{name} [{" .. ".join(ends)}]: {before} -> {value}, shown {shown}')
            if value == before or not settled:
                failures.append(f'slider of {name}: {before} -> {value}, shown {shown}')
        return failures

    def change_backend(self, *names: str) -> list[str]:
        """Type names of backends; rqt gives up waiting after 1 s."""
        failures = []
        for name in names:
            began = time.monotonic()
            self._type('backend', name)
            took_s = time.monotonic() - began
            self._until(lambda: False, 5.0)
            value, shown = self._in_force('backend'), self._field('backend').text()
            print(f'backend <- {name}: in force {value}, shown {shown}, {took_s * 1e3:.0f} ms')
            if value != name or shown != name or took_s > 1.0:
                failures.append(f'backend <- {name}: {value}, shown {shown}, {took_s:.1f} s')
        return failures


class _Context:
    """Context that rqt hands to a plugin, as far as this one asks."""

    def __init__(self, node: Any) -> None:
        self.node = node

    def argv(self) -> list[str]:
        return []


def _split() -> tuple[str, str]:
    namespace, _, name = _NODE.rpartition('/')
    return name, namespace or '/'


if __name__ == '__main__':
    sys.exit(main())
