"""The page of symptoms. Messages and mends are made by the functions that find the faults.

Each section calls them with the input of one fault, so that the page has the words of the log.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from dtp_stereo_ros.config import NodeConfig
from dtp_stereo_ros.errors import CalibrationError
from dtp_stereo_ros.health.brightness import BrightnessCheck
from dtp_stereo_ros.health.dds_settings import (
    LARGE_MESSAGES,
    shared_memory_findings,
    socket_findings,
    transport_findings,
)
from dtp_stereo_ros.health.finding import Finding, from_line
from dtp_stereo_ros.health.loss import lost_beside_infos_findings, lost_findings
from dtp_stereo_ros.health.recording import camera_findings
from dtp_stereo_ros.health.stamps import stamp_findings
from dtp_stereo_ros.health.sync import (
    gap_findings,
    late_finding,
    unpaired_finding,
    waiting_finding,
    without_info_finding,
)
from dtp_stereo_ros.health.view_check import (
    ViewCheck,
    ViewSetting,
    pair_findings,
    rectification_findings,
)
from dtp_stereo_ros.health.views import Rectification
from dtp_stereo_ros.markdown import table
from dtp_stereo_ros.messages.camera_info import calibration_warnings, stereo_calibration
from dtp_stereo_ros.ros.output_publishers import doubled, same_name
from dtp_stereo_ros.ros.publisher_qos import publisher_faults
from dtp_stereo_ros.stereo import SIDES, StereoFrame, UInt8Array
from dtp_stereo_ros.topics import INPUTS

from .markdown import code

_NODE = '/depth_node'
_TOPICS = {name: f'/{topic}' for name, topic in INPUTS.items()}
_S = 1_000_000_000
_PERIOD_NS = 33_333_333
_START_NS = 1_700_000_000 * _S + 123_456_789
_WIDTH_PX, _HEIGHT_PX = 640, 480
_FX_PX, _BASELINE_M = 400.0, 0.12
_FRAME = 'optical'


def sections() -> dict[str, str]:
    """The tables of the page that have findings."""
    return {
        'no result': _rows(
            [*_silent(), *_publishers(), *_unpaired(), *_stamps(), *_calibrations()]
        ),
        'lost': _rows(_lost()),
        'wrong': _rows([*_views(), *_brightness(), *_calibration_doubts()]),
        'recording': _rows(_recorded()),
        'twice': _rows([same_name(_NODE, 2), doubled('/disparity', ['/disparity_node'])]),
    }


def _rows(found: Sequence[Finding]) -> str:
    return table(
        ['message', 'subject', 'what to do'],
        [[f.text, code(f.subject), f.mend or 'correct the source of the message'] for f in found],
    )


def _silent() -> list[Finding]:
    """Findings on topics of which nothing comes."""
    left = {'left': _TOPICS['left']}
    info = _TOPICS['right_info']
    return [
        waiting_finding(left, {'left': 0}, ''),
        waiting_finding(left, {'left': 1}, ''),
        without_info_finding('right', info, None, _NODE, ''),
        without_info_finding('right', info, 20_000_000, _NODE, ''),
    ]


def _publishers() -> list[Finding]:
    """Findings on publishers of another type or QoS."""
    reliable = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
    best_effort = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    latched = copy.copy(reliable)
    latched.durability = DurabilityPolicy.TRANSIENT_LOCAL

    def faults(topic_type: str, publisher: QoSProfile, ours: QoSProfile) -> list[Finding]:
        info = SimpleNamespace(
            topic_type=topic_type, qos_profile=publisher, node_namespace='/', node_name='camera'
        )
        node: Any = SimpleNamespace(
            get_publishers_info_by_topic=lambda name: [info], resolve_topic_name=lambda name: name
        )
        return publisher_faults(node, _TOPICS['left'], Image, ours)

    image = 'sensor_msgs/msg/Image'
    return [
        *faults('sensor_msgs/msg/CompressedImage', best_effort, best_effort),
        *faults(image, best_effort, reliable),
        *faults(image, reliable, latched),
    ]


def _unpaired() -> list[Finding]:
    """Findings on images that do not pair."""
    stamps = [_START_NS + index * _PERIOD_NS for index in range(20)]
    arrivals = {
        'left': [(stamp, stamp) for stamp in stamps],
        'right': [(stamp, stamp + 6 * _PERIOD_NS + 1) for stamp in stamps[:-6]],
    }
    late = late_finding(arrivals, _TOPICS, NodeConfig.queue_size)
    assert late is not None
    return [
        unpaired_finding(7_000_000, _NODE, approximate=False, tolerance_ns=0),
        unpaired_finding(40_000_000, _NODE, approximate=True, tolerance_ns=16_000_000),
        late,
    ]


def _stamps() -> list[Finding]:
    """Findings on the stamps of the images."""
    count = 40
    arrivals = [_START_NS + index * _PERIOD_NS for index in range(count)]

    def of_left(stamps: Sequence[int]) -> list[Finding]:
        left = list(zip(stamps, arrivals, strict=True))
        return stamp_findings({'left': left, 'right': []}, _TOPICS)

    later = [(stamp + 5 * _S, came) for stamp, came in zip(arrivals, arrivals, strict=True)]
    both = {'left': list(zip(arrivals, arrivals, strict=True)), 'right': later}
    return [
        *of_left([0] * count),
        *of_left([_START_NS] * count),
        *of_left([stamp // _S * _S for stamp in arrivals]),
        *of_left([arrivals[index // 2 * 2] for index in range(count)]),
        *of_left([stamp - 100 * _S * (i % 2) for i, stamp in enumerate(arrivals)]),
        *stamp_findings(both, _TOPICS),
    ]


def _lost() -> list[Finding]:
    """Findings on images that were sent and did not arrive, and on the settings that cause it."""
    # Two of five frames.
    stamps = [_START_NS + index * _PERIOD_NS for index in range(60) if index % 5 not in (1, 3)]
    arrivals = {'left': [(stamp, stamp) for stamp in stamps]}
    mends = {'left': LARGE_MESSAGES, 'right': LARGE_MESSAGES}
    right = [stamp for index, stamp in enumerate(stamps) if index % 4]
    return [
        *lost_findings(arrivals, _PERIOD_NS, _TOPICS, mends),
        *lost_beside_infos_findings({'left': 0.7}, _TOPICS, mends),
        *transport_findings({}, 5_500_000),
        *transport_findings({'FASTDDS_DEFAULT_PROFILES_FILE': '/missing.xml'}, 5_500_000),
        *shared_memory_findings(100 * 2**20),
        *socket_findings(212_992),
        *gap_findings(stamps, right, _NODE, approximate=False),
    ]


def _views() -> list[Finding]:
    """Findings on exchanged, raw and unaligned views."""
    setting = ViewSetting(_NODE, '', False, _TOPICS)
    twice = ViewSetting(_NODE, '', True, _TOPICS)
    raw_names = {**_TOPICS, 'left': '/left/image_raw', 'right': '/right/image_raw'}
    named_raw = ViewSetting(_NODE, '', False, raw_names)
    left, right = _random_pair()
    return [
        *_exchanged(setting),
        *rectification_findings(Rectification('raw', 4.9, 0.2, 30.0), setting),
        *rectification_findings(Rectification('rectified', 0.2, 4.9, 30.0), twice),
        *rectification_findings(Rectification('misaligned', 3.1, 2.8, 30.0), setting),
        *rectification_findings(Rectification('aligned', 0.2, 0.4, 12.0), named_raw),
        *pair_findings(StereoFrame(right, left), 'left.png', 'right.png'),
        *pair_findings(StereoFrame(left, np.roll(right, 8, axis=0)), 'left.png', 'right.png'),
    ]


def _random_pair() -> tuple[UInt8Array, UInt8Array]:
    """Left and right image of 20 px disparity."""
    grey = np.random.default_rng(0).integers(0, 256, (48, 88, 1), np.uint8)
    wide = np.ascontiguousarray(grey.repeat(4, 0).repeat(4, 1).repeat(3, 2))
    return wide[:, :-20].copy(), wide[:, 20:].copy()


def _exchanged(setting: ViewSetting) -> list[Finding]:
    """Finding on a pair that is given in the wrong order."""
    left, right = _random_pair()
    check = ViewCheck()
    found: list[Finding] = []
    for _ in range(3):
        found = check.look(right, left, 0.0, lambda given: given, setting)
    return found


def _brightness() -> list[Finding]:
    """Finding on 12-bit images."""
    check = BrightnessCheck(images=1)
    return check.look(np.zeros((2, 2, 3), np.uint8), 'mono16', _TOPICS['left'])


def _recorded() -> list[Finding]:
    """Findings on the messages of a bag."""
    count = 60
    steady = [_START_NS + index * _PERIOD_NS for index in range(count)]
    gaps = [stamp for index, stamp in enumerate(steady) if index % 5 not in (1, 3)]
    hole = [*steady, *(stamp + 10 * _S for stamp in steady)]
    shifted = [stamp + 7_000_000 for stamp in steady]
    seldom = [stamp + 7_000_000 * (index % 4 == 0) for index, stamp in enumerate(steady)]
    infos = {'left': count, 'right': count}

    def found(
        right: Sequence[int],
        paired: int,
        *,
        left: Sequence[int] = steady,
        infos: Mapping[str, int] = infos,
        topics: Mapping[str, str] = _TOPICS,
        undescribed: int = 0,
        approximate: bool = False,
        late_ns: int = 0,
    ) -> list[Finding]:
        arrivals = {
            side: [(s, s + late_ns * (side == 'right')) for s in stamps]
            for side, stamps in zip(SIDES, (left, right), strict=True)
        }
        config = NodeConfig(approximate_sync=approximate)
        of_all = camera_findings(arrivals, infos, topics, config, {'paired': paired}, undescribed)
        return [finding for finding in of_all if finding.level != 'ok']

    return [
        *found([], 0),
        *found(gaps, len(gaps), left=gaps),
        *found(hole, len(hole), left=hole),
        *found(shifted, 0),
        *found(shifted, 0, approximate=True),
        *found(seldom, 45),
        *found(steady, 4, late_ns=8 * _PERIOD_NS),
        *found(steady[::-1], 4),
        *found(steady, count, topics={**_TOPICS, 'right_info': ''}),
        *found(steady, count, infos={'left': count, 'right': 0}),
        *found(steady, count, infos={'left': 0, 'right': count}),
        *found(steady, count, undescribed=3),
        *_exchanged(ViewSetting(_NODE, '', False, _TOPICS, recorded=True)),
    ]


# What makes the P of a stereo camera a faulty one: (side, index of P) -> value.
_TX = -_FX_PX * _BASELINE_M
_FAULTY_P: tuple[dict[tuple[str, int], float], ...] = (
    {('left', 2): float('nan')},
    {('right', 0): 0.0},
    {('left', 10): 0.0},
    {('left', 1): 5.0},
    {('right', 3): 0.0},
    {('left', 3): _TX},
    {('right', 3): -_TX},
    {('left', 3): _TX, ('right', 3): 0.0},
    {('right', 3): 1000 * _TX},
    {('right', 3): 0.0, ('right', 7): _TX},
    {('right', 7): _TX / 4},
    {('left', 0): 420.0},
    {('left', 6): 260.0},
)


def _calibrations() -> list[Finding]:
    """Findings on pairs of camera infos that are no calibration of a stereo pair."""
    pairs = []
    for fault in _FAULTY_P:
        left, right = _info(0.0), _info(_TX)
        for (side, index), value in fault.items():
            (left if side == 'left' else right).p[index] = value
        pairs.append((left, right))
    uncalibrated, half = _info(0.0), _info(0.0)
    uncalibrated.k = [0.0] * 9
    half.width, half.height = _WIDTH_PX // 2, _HEIGHT_PX // 2
    pairs += [(uncalibrated, _info(_TX)), (half, _info(_TX))]
    return [finding for pair in pairs for finding in _fault_of(*pair)]


def _fault_of(left: CameraInfo, right: CameraInfo) -> list[Finding]:
    try:
        stereo_calibration(left, right, _WIDTH_PX, _HEIGHT_PX)
    except CalibrationError as error:
        return [from_line('error', 'calibration', str(error))]
    return []


def _calibration_doubts() -> list[Finding]:
    """Findings on calibrations that are doubtful and are used."""
    other_frame = _info(0.0)
    other_frame.header.frame_id = 'camera_left'
    small_fy, far_cx = [_info(0.0), _info(_TX)], [_info(0.0), _info(_TX)]
    for info in small_fy:
        info.p[5] = 4.0
    far_cx[1].p[2] = 4000.0
    pairs = [
        (other_frame, _info(_TX), _FRAME),
        (_info(0.0), _info(_TX), ''),
        (_info(0.0), _info(-0.0004 * _FX_PX), _FRAME),
        (_info(0.0), _info(-5.0 * _FX_PX), _FRAME),
        (_info(0.0, 40.0), _info(-40.0 * _BASELINE_M, 40.0), _FRAME),
        (*small_fy, _FRAME),
        (*far_cx, _FRAME),
    ]
    return [
        from_line('warn', 'calibration', warning)
        for left, right, image_frame in pairs
        for warning in calibration_warnings(left, right, image_frame)
    ]


def _info(tx: float, fx_px: float = _FX_PX) -> CameraInfo:
    info = CameraInfo(width=_WIDTH_PX, height=_HEIGHT_PX, distortion_model='plumb_bob')
    cx, cy = _WIDTH_PX / 2 - 0.5, _HEIGHT_PX / 2 - 0.5
    info.header.frame_id = _FRAME
    info.d = [0.0] * 5
    info.k = [fx_px, 0.0, cx, 0.0, fx_px, cy, 0.0, 0.0, 1.0]
    info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    info.p = [fx_px, 0.0, cx, tx, 0.0, fx_px, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return info
