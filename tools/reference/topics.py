"""The page of the topics and services: from the node's outputs and inputs, and its SROS 2 policy.

A test holds the policy against the running node, so that the names here are those of the node.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from sensor_msgs.msg import CameraInfo, Image

from dtp_stereo_ros.markdown import table
from dtp_stereo_ros.ros.outputs import OUTPUT_TYPES
from dtp_stereo_ros.ros.publisher_qos import type_name

from .markdown import code, described

_POLICY = Path(__file__).resolve().parents[2] / 'config/sros2/policy.xml'

_FILE = 'tools/reference/topics.py'

_TYPES = {
    'left/image_rect': type_name(Image),
    'right/image_rect': type_name(Image),
    'left/image_rect/compressed': 'sensor_msgs/msg/CompressedImage',
    'right/image_rect/compressed': 'sensor_msgs/msg/CompressedImage',
    'left/camera_info': type_name(CameraInfo),
    'right/camera_info': type_name(CameraInfo),
    '/clock': 'rosgraph_msgs/msg/Clock',
    '/diagnostics': 'diagnostic_msgs/msg/DiagnosticArray',
    '/rosout': 'rcl_interfaces/msg/Log',
    '/parameter_events': 'rcl_interfaces/msg/ParameterEvent',
    '~/transition_event': 'lifecycle_msgs/msg/TransitionEvent',
    **{name: type_name(message) for name, message in OUTPUT_TYPES.items()},
}

_READ = {
    'left/image_rect': 'rectified left image: mono, colour, Bayer or YUV, 8 or 16 bits; raw with '
    '`rectify`',
    'right/image_rect': 'the right image, of the same size',
    'left/image_rect/compressed': 'with `image_transport: compressed`: JPEG or PNG',
    'right/image_rect/compressed': 'the same of the right camera',
    'left/camera_info': '`P`, binning and region of interest are used; with `rectify` also `K`, '
    '`D` and `R`',
    'right/camera_info': 'the same; `P[3]` is -fx · baseline, in px · m',
    '/clock': 'with `use_sim_time`',
    '/diagnostics': 'only while another node has the same name',
}
_SENT = {
    'disparity': '`image` is 32FC1: d = x_l - x_r - (cx_l - cx_r) in px, so that Z = f · T / d; '
    'a pixel below `min_disparity` (-1) is unknown',
    'disparity/compressed': 'the disparity in colour as JPEG, for viewers that show no '
    'DisparityImage: square root from 0 (blue) to the largest of the search (red), unknown is '
    'black',
    'depth/image': '32FC1 in metres, NaN unknown, +Inf beyond range (REP 117, REP 118); or 16UC1 '
    'in millimetres, 0 unknown or beyond 65.535 m (`depth_encoding`)',
    'depth/camera_info': 'calibration of the depth image: that of the left camera',
    'points2': 'organised as the image; x, y, z in metres and rgb; unknown points are NaN; '
    '`is_dense` is false. 32 bytes a point, 16 with `avoid_point_cloud_padding`',
    'confidence': '32FC1, 0 .. 1; not from SGBM',
    '/diagnostics': 'per camera: input, calibration, matching: rates, latency, drops by cause, '
    'findings with what to do',
    '/rosout': 'log',
    '/parameter_events': 'changes of parameters',
    '~/transition_event': 'changes of the lifecycle',
}


def sections() -> dict[str, str]:
    """The tables of the page.

    Raises:
        LookupError: a topic of the policy has no type or no meaning above.
    """
    profile = ElementTree.parse(_POLICY).getroot().find('.//profile')
    assert profile is not None
    read = [str(topic.text) for topic in profile.findall("topics[@subscribe='ALLOW']/topic")]
    sent = [str(topic.text) for topic in profile.findall("topics[@publish='ALLOW']/topic")]
    services = [str(service.text) for service in profile.findall('services/service')]
    headings = ['topic', 'type', 'meaning']
    return {
        'subscribed': table(
            headings,
            [
                [code(t), code(described(t, _TYPES, _FILE)), described(t, _READ, _FILE)]
                for t in read
            ],
        ),
        'published': table(
            headings,
            [
                [code(t), code(described(t, _TYPES, _FILE)), described(t, _SENT, _FILE)]
                for t in sent
            ],
        ),
        'services': '\n'.join(f'- {code(name)}' for name in services),
    }
