"""ament_python and pip package in one.

The metadata stays here because ROS 2 Humble's setuptools (59) reads no `[project]` table.
"""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = 'dtp_stereo'
SHARE = f'share/{PACKAGE}'
# `colcon build --symlink-install` runs a link to this file in a folder that has no README.
HERE = Path(__file__).resolve().parent

VERSION = re.search(
    r"^__version__ = '(.+)'$", (HERE / 'dtp_stereo_ros/__init__.py').read_text(), re.MULTILINE
)
assert VERSION, 'dtp_stereo_ros/__init__.py has no __version__'


def shared_files(source: str, target: str) -> list[tuple[str, list[str]]]:
    """`data_files` rows that copy a folder with its subfolders to `share/dtp_stereo/target`."""
    rows: dict[str, list[str]] = {}
    for path in sorted(Path(source).rglob('*')):
        if path.is_file() and '__pycache__' not in path.parts:
            folder = Path(SHARE, target, path.parent.relative_to(source))
            rows.setdefault(folder.as_posix(), []).append(path.as_posix())
    return list(rows.items())


# rclpy and the message packages of ROS 2 Kilted as wheels (CPython 3.10 to 3.14), for machines
# without ROS 2.
ROS = [
    'ros-rclpy[fastrtps]~=9.1',
    'ros-sensor-msgs~=5.5',
    'ros-stereo-msgs~=5.5',
    'ros-diagnostic-msgs~=5.5',
    'ros-std-msgs~=5.5',
    'rosbags>=0.11',
    'tqdm>=4.60',
]
ONNX = ['onnxruntime>=1.16']
OPENVINO = ['openvino>=2024.0']
# Of CUDA 12 and TensorRT 10 together: onnxruntime-gpu from 1.27 on is built for CUDA 13, and links
# libnvinfer.so.10 also there. On 64-bit ARM its wheels are for servers and lack TensorRT: NVIDIA
# has others for Jetson; the CPU's comes in their place.
_X86 = "; platform_machine == 'x86_64'"
_NOT_X86 = "; platform_machine != 'x86_64'"
GPU = [
    # Of the extras cuda and cudnn come the libraries that it links.
    f'onnxruntime-gpu[cuda,cudnn]>=1.21,<1.27{_X86}',
    f'onnxruntime>=1.16{_NOT_X86}',
]
TENSORRT = [
    *GPU,
    'tensorrt-cu12>=10.3,<11',
    'cuda-bindings>=12.8,<13',
    # Writes the fp16 form of a model.
    'onnx>=1.15',
]
# Brings the Motorcycle pair.
PAIR = ['scikit-image>=0.22']
EVAL = [*PAIR, 'matplotlib>=3.6']
BAG = ['rosbags>=0.11', 'mcap>=1.1', 'tqdm>=4.60']
FLEET = ['ray>=2.9']
VIEW = ['rerun-sdk>=0.23', *BAG]
TRAIN = [
    'torch>=2.2',
    'torch-pruning>=1.5',
    'accelerate>=1.0',
    'onnx>=1.15',
    'tensorboard>=2.14',
    *BAG,
    'embreex>=2.17',
    *ONNX,
    *EVAL,
]
DEMO = [*ROS, *ONNX, *OPENVINO, *PAIR]
TEST = ['pytest>=8', 'hypothesis>=6.90']
DEV = [
    *DEMO,
    *TRAIN,
    *TEST,
    'pytest-xdist>=3.6',
    # Drives Debian's Chromium in the test of the report page.
    'selenium>=4.11',
    'torch==2.13.0',
    'ruff>=0.9',
    'mypy>=1.14',
    'types-PyYAML',
    'types-tqdm',
    'pip>=23',
    'colcon-common-extensions>=0.3',
    # colcon calls `setup.py develop`, which newer setuptools no longer have.
    'setuptools>=64,<80',
]

setup(
    name=PACKAGE,
    version=VERSION[1],
    description='Stereo depth on a CPU with DTPnet, as a ROS 2 node and a library.',
    long_description=(HERE / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    maintainer='dtp_stereo maintainers',
    license='Apache-2.0',
    packages=find_packages(include=['dtp_stereo_ros', 'dtp_stereo_ros.*']),
    package_data={'dtp_stereo_ros': ['py.typed', 'evaluation/page/*']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{PACKAGE}']),
        (SHARE, ['package.xml', 'LICENSE']),
        *shared_files('launch', 'launch'),
        *shared_files('config', 'config'),
        *shared_files('resource/models', 'models'),
    ],
    zip_safe=False,
    python_requires='>=3.10',
    install_requires=['numpy>=1.21', 'opencv-python-headless>=4.5', 'PyYAML>=5.4'],
    extras_require={
        'ros': ROS,
        'onnx': ONNX,
        'openvino': OPENVINO,
        'torch': ['torch>=2.2'],
        'gpu': GPU,
        'tensorrt': TENSORRT,
        'train': TRAIN,
        'eval': EVAL,
        'bag': BAG,
        'view': VIEW,
        'fleet': FLEET,
        'demo': DEMO,
        'test': TEST,
        'dev': DEV,
    },
    entry_points={
        'console_scripts': [
            'dtp-stereo = dtp_stereo_ros.start:dtp_stereo',
            'depth_node = dtp_stereo_ros.start:depth_node',
        ],
    },
)
