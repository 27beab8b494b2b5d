"""`dtp-stereo replay`: bags through the real node over DDS."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from scene_bag import PERIOD_NS, Pair, planes, write_scene_bag
from sensor_msgs.msg import CameraInfo, Image
from stereo_msgs.msg import DisparityImage

from dtp_stereo_ros.cli import main
from dtp_stereo_ros.evaluation import result_file
from dtp_stereo_ros.evaluation.columns import COLUMNS
from dtp_stereo_ros.evaluation.datasets import open_dataset
from dtp_stereo_ros.messages.images import to_image
from dtp_stereo_ros.messages.stamps import stamp_ns
from dtp_stereo_ros.recordings.recording import Recording
from dtp_stereo_ros.ros.harness import replayer
from dtp_stereo_ros.ros.message_types import ROS_TYPES

pytestmark = pytest.mark.slow
pytest.importorskip('onnxruntime')
typesys = pytest.importorskip('rosbags.typesys')

NET = ('--backend', 'onnx', '--precision', 'fp32')
SGBM = ('--backend', 'sgbm', '--disparity-range', '64')


def replay(folder: Path, bag: Path, *options: str, code: int = 0) -> dict[str, Any]:
    """The first recording of the result file."""
    file = folder / 'result.json'
    assert main(['replay', str(bag), *options, '--json', str(file)]) == code
    found: dict[str, Any] = result_file.read(file)['recordings'][0]
    return found


def means(recording: dict[str, Any]) -> dict[tuple[str, str], float]:
    return {
        (measures['method'], key): value['mean']
        for measures in recording['measures']
        for key, value in measures['values'].items()
        if value['mean'] is not None
    }


def our_nodes() -> list[int]:
    """Process ids of the nodes that this process has started."""
    found = []
    for folder in Path('/proc').iterdir():
        try:
            parent = (folder / 'stat').read_text().rpartition(')')[2].split()[1]
            if int(parent) == os.getpid() and b'depth_node' in (folder / 'cmdline').read_bytes():
                found.append(int(folder.name))
        except (OSError, IndexError, ValueError):
            continue
    return found


@pytest.fixture(scope='module')
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two planes, with truth and principal points that differ."""
    folder = tmp_path_factory.mktemp('replay')
    return write_scene_bag(folder / 'b', [*planes(3), *planes(2, shift_px=12)], offset_px=1.5)


@pytest.fixture(scope='module')
def lockstep(bag: Path) -> dict[str, Any]:
    return replay(bag.parent, bag, *NET, '--model', 'dtpnet-small', '--loops', '2')


def test_lockstep_agrees_with_bag_on_every_measure(
    lockstep: dict[str, Any], bag: Path, tmp_path: Path
) -> None:
    file = tmp_path / 'bag.json'
    arguments = ['bag', str(bag), *NET, '--models', 'dtpnet-small', '--json', str(file)]
    assert main(arguments) == 0
    other = means(result_file.read(file)['recordings'][0])
    own = means(lockstep)
    judged = {key for (method, key) in own if method.startswith('dtpnet-small onnx')}
    assert {'epe_px', 'bad_1', 'bad_3', 'd1', 'ause_px', 'coverage', 'agreement'} <= judged
    assert judged & COLUMNS.keys() == {k for (m, k) in other if m != 'sgbm'} & COLUMNS.keys()
    for name, value in own.items():
        assert value == pytest.approx(other[name], abs=1e-4), name


def test_lockstep_agrees_with_bag_on_real_scenes(tmp_path: Path, data_root: Path) -> None:
    """Principal points differ, and points beyond max_depth are told apart from holes."""
    data = f'middlebury_v3:{data_root / "middlebury" / "MiddEval3" / "trainingQ"}'
    pairs = []
    for scene in open_dataset(data)[1][:2]:
        frame = scene.load_frame()
        assert scene.load_truth is not None
        pairs.append(Pair(frame.left, frame.right, scene.load_truth().disparity_px))
    # f T is 20 px m.
    limits = ('--max-depth', '0.8')
    bag = write_scene_bag(tmp_path / 'b', pairs, offset_px=-12.5)
    replayed = replay(tmp_path, bag, *NET, *limits, '--model', 'dtpnet-small')
    assert replayed['replay']['answered'] == len(pairs)
    own = means(replayed)
    file = tmp_path / 'bag.json'
    arguments = ['bag', str(bag), *NET, *limits, '--models', 'dtpnet-small', '--json', str(file)]
    assert main(arguments) == 0
    other = means(result_file.read(file)['recordings'][0])
    assert ('dtpnet-small onnx fp32', 'bad_3') in own
    for name, value in own.items():
        assert value == pytest.approx(other[name], abs=1e-4), name


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (('--disparity', '/x'), '--disparity /x names a topic of a node that runs already; add'),
        (('--fail-if', 'inconsistent>1'), 'a node does not tell its left-right consistency'),
        (('--node-running',), '--backend, --disparity-range would set up a node of our own'),
    ],
)
def test_what_a_replay_cannot_do_is_refused_before_it_starts(
    bag: Path, options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['replay', str(bag), *SGBM, *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count('\n') == 1


def test_lockstep_waits_for_late_camera_infos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come after their images where the middleware has to repeat them."""
    large, small = planes(1)[0], planes(1)[0]
    small = Pair(*(image[:-16] for image in (small.left, small.right, small.truth_px)))
    bag = write_scene_bag(tmp_path / 'b', [large, small])
    send = replayer.Replayer.send

    def late(self: replayer.Replayer, part: str, message: Any) -> None:
        if part == 'left_info' and message.height == small.left.shape[0]:
            time.sleep(6.0)
        send(self, part, message)

    monkeypatch.setattr(replayer, 'PARTS', ('left', 'right', 'left_info', 'right_info'))
    monkeypatch.setattr(replayer.Replayer, 'send', late)
    found = replay(tmp_path, bag, *SGBM)['replay']
    assert (found['sent'], found['answered'], sum(found['dropped'].values())) == (2, 2, 0)


def test_what_the_node_published_is_recorded(bag: Path, tmp_path: Path) -> None:
    """The bag that is written holds the pairs and results: its judgement is that of the replay."""
    out = tmp_path / 'out.mcap'
    before = replay(tmp_path, bag, *SGBM, '--record', str(out), '--every', '2')
    with Recording(out) as recording:
        assert recording.counts['/disparity'] == recording.counts['/disparity/compressed'] == 3
        assert recording.types['/points2'] == 'sensor_msgs/msg/PointCloud2'
        assert recording.counts['/depth/image'] == 3
    again = tmp_path / 'again.json'
    assert (
        main(
            [
                'bag',
                str(out),
                *SGBM,
                '--truth',
                '/cam/ground_truth/disparity',
                '--json',
                str(again),
            ]
        )
        == 0
    )
    (after,) = result_file.read(again)['recordings']
    node, sgbm = before['measures'][0], after['measures'][0]
    for key in ('epe_px', 'bad_1', 'bad_3'):
        assert node['values'][key]['mean'] == pytest.approx(sgbm['values'][key]['mean'], abs=1e-4)
    assert main(['replay', str(bag), *SGBM, '--record', str(bag / 'x.mcap')]) == 2


def test_lockstep_twice_has_one_hash(lockstep: dict[str, Any], bag: Path, tmp_path: Path) -> None:
    first = lockstep['replay']
    assert (first['mode'], first['sent'], first['answered'], first['lost']) == (
        'lockstep', 10, 10, 0,
    )  # fmt: skip
    assert len(lockstep['frames']) == 2 * 5
    second = replay(tmp_path, bag, *NET, '--model', 'dtpnet-small')['replay']
    assert {*first['sha256_of_loops'], second['sha256']} == {first['sha256']}
    assert len(first['sha256']) == 64
    other = replay(tmp_path, bag, *NET, '--model', 'dtpnet-small', '--duration', '0.25')
    assert other['replay']['sha256'] != first['sha256']
    assert other['replay']['sent'] == 3


def test_in_time_with_latencies_and_all_losses_by_cause(tmp_path: Path) -> None:
    bag = write_scene_bag(tmp_path / 'b', planes(30))
    options = ('--rate', '5', '--report', str(tmp_path / 'report'))
    recording = replay(tmp_path, bag, *SGBM, *options)
    found = recording['replay']
    assert (found['mode'], found['rate'], found['sent']) == ('real time', 5.0, 30)
    assert found['answered'] > 0
    assert sum(found['dropped'].values()) == found['lost'] == 30 - found['answered']
    for key in ('arrival_to_result_ms', 'stamp_to_result_ms', 'memory_mib'):
        assert 0 < found[key]['p50'] <= found[key]['p95'] <= found[key]['p99']
    # The stamps are in the time of the bag, which passes five times as fast.
    assert found['stamp_to_result_ms']['p50'] > 3 * found['arrival_to_result_ms']['p50']
    assert 30 < found['rate_in_hz'] < 60
    assert len(recording['frames']) == 2 * found['answered']
    assert {f['method'] for f in recording['frames']} == {'node sgbm', 'sgbm'}
    values = means(recording)
    assert values['node sgbm', 'epe_px'] == pytest.approx(values['sgbm', 'epe_px'], abs=0.5)
    page = (tmp_path / 'report' / 'report.html').read_text()
    assert json.dumps(found['lost']) in page
    assert 'Replay through the node' in page
    assert 'lifecycle: inactive -> active' in (tmp_path / 'report' / 'node.log').read_text()


def test_stamps_that_come_twice_are_refused_in_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = write_scene_bag(tmp_path / 'b', planes(8), turns=2)
    assert main(['replay', str(bag), *SGBM, '--rate', '2']) == 2
    assert 'stamp 1000.000 comes twice' in capsys.readouterr().err


def test_every_nth_pair_is_judged_where_camera_infos_begin_late(tmp_path: Path) -> None:
    bag = write_scene_bag(tmp_path / 'b', planes(20))
    with sqlite3.connect(next(bag.glob('*.db3'))) as base:
        base.execute(
            'DELETE FROM messages WHERE timestamp < ? AND topic_id IN '
            "(SELECT id FROM topics WHERE name LIKE '%camera_info')",
            (10**12 + 3 * PERIOD_NS,),
        )
    recording = replay(tmp_path, bag, *SGBM, '--rate', '1', '--every', '5')
    assert recording['replay']['sent'] == 20
    assert 2 <= len({f['stamp_ns'] for f in recording['frames']}) <= 3


def test_topics_of_two_types_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {'right': '/other/right/image_rect'}
    bag = write_scene_bag(tmp_path / 'b', planes(4), png=True, names=names)
    metadata = bag / 'metadata.yaml'
    before, name, after = metadata.read_text().partition(names['right'])
    metadata.write_text(before + name + after.replace('CompressedImage', 'Image', 1))
    sides = ['--left', '/cam/left/image_rect/compressed', '--right', names['right']]
    infos = ['--left-info', '/cam/left/camera_info', '--right-info', '/cam/right/camera_info']
    assert main(['replay', str(bag), *SGBM, *sides, *infos]) == 2
    assert 'are of different types, of which a node takes one' in capsys.readouterr().err


@pytest.fixture
def later() -> Iterator[Callable[[Path, Callable[[], None]], None]]:
    """Do something in a thread when the node of a report has answered for a while."""
    threads = []

    def start(report: Path, action: Callable[[], None]) -> None:
        def wait() -> None:
            deadline = time.monotonic() + 60
            log = report / 'node.log'
            while not (log.is_file() and 'inactive -> active' in log.read_text()):
                if time.monotonic() > deadline:
                    return
                time.sleep(0.1)
            time.sleep(6.0)
            action()

        threads.append(threading.Thread(target=wait))
        threads[0].start()

    yield start
    for thread in threads:
        thread.join()


@pytest.mark.parametrize('how', ['the node is killed', 'Ctrl-C'])
def test_a_play_that_ends_early_reports_what_there_is(
    how: str, tmp_path: Path, later: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    bag = write_scene_bag(tmp_path / 'b', planes(60))
    report = tmp_path / 'report'

    def kill() -> None:
        for pid in our_nodes():
            os.kill(pid, signal.SIGKILL)

    stop = kill if how == 'the node is killed' else lambda: os.kill(os.getpid(), signal.SIGINT)
    later(report, stop)
    options = ('--rate', '0.5', '--report', str(report))
    recording = replay(tmp_path, bag, *SGBM, *options, code=1)
    said = 'the node ended with code -9' if how == 'the node is killed' else 'stopped by the user'
    assert recording['replay']['ended'].startswith(said)
    assert said in capsys.readouterr().err
    assert 0 < recording['replay']['answered'] < 60
    assert recording['frames']
    assert our_nodes() == []
    assert (report / 'report.html').is_file()


def test_a_pair_without_result_is_sent_again_and_then_lost(
    bag: Path, tmp_path: Path, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replayer, '_NEXT_S', 0.4)
    monkeypatch.setattr(replayer, '_DIAGNOSTICS_S', 0.2)
    publisher = node.create_publisher(DisparityImage, 'disparity', 10)
    seen: list[int] = []

    def answer(image: Image) -> None:
        stamp = stamp_ns(image)
        seen.append(stamp)
        if stamp == 10**12 + 2 * PERIOD_NS or (stamp == 10**12 and seen.count(stamp) == 1):
            return
        values = np.full((image.height, image.width), 6.5, np.float32)
        made = DisparityImage(header=image.header, min_disparity=1.0, max_disparity=60.0)
        made.image = to_image(ROS_TYPES, values, '32FC1', image.header)
        publisher.publish(made)

    topics = {part: f'/cam/{part}/image_rect' for part in ('left', 'right')}
    node.create_subscription(Image, topics['left'], answer, 10)
    node.create_subscription(Image, topics['right'], lambda _: None, 10)
    for side in topics:
        node.create_subscription(CameraInfo, f'/cam/{side}/camera_info', lambda _: None, 10)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    try:
        recording = replay(tmp_path, bag, '--node-running')
    finally:
        executor.shutdown()
        thread.join()
    found = recording['replay']
    assert (found['sent'], found['answered'], found['dropped']) == (5, 4, {'no result': 1})
    assert (seen.count(10**12), seen.count(10**12 + 2 * PERIOD_NS)) == (2, 3)
    assert [f['index'] for f in recording['frames'] if f['method'] == 'node'] == [0, 1, 3, 4]
    # Less the difference of the principal points, that is the truth of the first frames.
    assert recording['frames'][0]['values']['epe_px'] == 0
    assert recording['frames'][0]['values']['coverage'] == 1


def write_ros1_bag(path: Path) -> None:
    """Three frames as PNG, with camera infos, in a bag of ROS 1."""
    store = typesys.get_typestore(typesys.Stores.ROS1_NOETIC)
    kinds = store.types
    image, info = 'sensor_msgs/msg/CompressedImage', 'sensor_msgs/msg/CameraInfo'
    with pytest.importorskip('rosbags.rosbag1').Writer(path) as writer:
        topics = {}
        for side in ('left', 'right'):
            for name, kind in (('image_rect/compressed', image), ('camera_info', info)):
                topic = f'/cam/{side}/{name}'
                topics[side, kind] = writer.add_connection(topic, kind, typestore=store)
        for index, pair in enumerate(planes(3)):
            time_ns = 10**12 + index * 10**8
            stamp = kinds['builtin_interfaces/msg/Time'](time_ns // 10**9, time_ns % 10**9)
            header = kinds['std_msgs/msg/Header'](index, stamp, 'camera')
            height, width = pair.left.shape[:2]
            for side, pixels in (('left', pair.left), ('right', pair.right)):
                tx = -20.0 if side == 'right' else 0.0
                f, cx, cy = 200.0, width / 2, height / 2
                k = np.array([f, 0, cx, 0, f, cy, 0, 0, 1.0])
                p = np.array([f, 0, cx, tx, 0, f, cy, 0, 0, 0, 1.0, 0])
                roi = kinds['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)
                message = kinds[info](
                    header, height, width, 'plumb_bob', np.zeros(5), k, np.eye(3).ravel(), p,
                    0, 0, roi,
                )  # fmt: skip
                writer.write(topics[side, info], time_ns, store.serialize_ros1(message, info))
                _, data = cv2.imencode('.png', cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
                message = kinds[image](header, 'png', data.ravel())
                writer.write(topics[side, image], time_ns, store.serialize_ros1(message, image))


def test_a_bag_of_ros_1_with_compressed_images(tmp_path: Path) -> None:
    write_ros1_bag(tmp_path / 'b.bag')
    recording = replay(tmp_path, tmp_path / 'b.bag', *SGBM)
    assert recording['replay']['answered'] == 3
    values = means(recording)
    assert values['node sgbm', 'agreement'] == pytest.approx(1.0, abs=0.01)
    assert recording['topics']['left'] == '/cam/left/image_rect/compressed'


def merged(path: Path, bags: dict[str, Path]) -> None:
    """One bag of several, each under a name of its own instead of /cam."""
    rosbag2 = pytest.importorskip('rosbags.rosbag2')
    store = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
    with rosbag2.Writer(path, version=9) as writer:
        for name, one in bags.items():
            with rosbag2.Reader(one) as reader:
                made = {
                    c.topic: writer.add_connection(
                        c.topic.replace('/cam', f'/{name}', 1), c.msgtype, typestore=store
                    )
                    for c in reader.connections
                }
                for connection, recorded_ns, raw in reader.messages():
                    writer.write(made[connection.topic], recorded_ns, raw)


@pytest.mark.parametrize(
    ('first_s', 'options'), [(0, ('--rate', '1')), (0.05, ()), (5, ('--rate', '1')), (5, ())]
)
def test_a_recording_of_a_simulation_that_begins_at_zero(
    first_s: float, options: tuple[str, ...], tmp_path: Path
) -> None:
    """No message has an earlier time, so the node is warmed up in what there is."""
    bag = write_scene_bag(tmp_path / 'b', planes(8), first_ns=round(first_s * 1e9))
    recording = replay(tmp_path, bag, '--backend', 'sgbm', '--disparity-range', '32', *options)
    # A pair of stamp 0 is taken for the one before it that warmed the node up, and live the first
    # images may come before the node listens.
    assert recording['replay']['answered'] >= (7 if options else 8)
    assert means(recording)['node sgbm', 'epe_px'] < 0.2


def test_two_cameras_and_the_parameter_file_of_the_node(tmp_path: Path) -> None:
    """Each camera has a node of its own, whose images differ by a millisecond."""
    params = tmp_path / 'node.yaml'
    params.write_text(
        'depth_node:\n  ros__parameters:\n    approximate_sync: true\n    backend: sgbm\n'
        '    disparity_range: 64\n    min_depth: 1.0\n    max_depth: 2.25\n'
    )
    bags = {'front': tmp_path / 'front', 'rear': tmp_path / 'rear'}
    for path, shift_px in zip(bags.values(), (10, 8), strict=True):
        write_scene_bag(path, planes(12, shift_px), late_ns=1_000_000, leave_out=['truth'])
    merged(tmp_path / 'b', bags)
    file = tmp_path / 'result.json'
    options = ['--params', str(params), '--disparity-range', '32', '--json', str(file)]
    assert main(['replay', str(tmp_path / 'b'), *options]) == 0
    front, rear = result_file.read(file)['recordings']
    assert (front['camera'], rear['camera']) == ('front', 'rear')
    for recording in (front, rear):
        assert recording['replay']['sent'] == recording['replay']['answered'] > 5
        assert recording['methods']['node sgbm']['settings']['disparity_range'] == 32
        # 2 m and 2.5 m: with the limit of the file, the rear plane is beyond range, not a hole.
        assert means(recording)['node sgbm', 'coverage'] > 0.8
    assert front['replay']['sha256'] != rear['replay']['sha256']


def test_a_camera_that_cannot_be_replayed_costs_the_others_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, leave_out in (('front', ['truth', 'left_info', 'right_info']), ('rear', ['truth'])):
        write_scene_bag(tmp_path / name, planes(2), leave_out=leave_out)
    merged(tmp_path / 'b', {name: tmp_path / name for name in ('front', 'rear')})
    recording = replay(tmp_path, tmp_path / 'b', *SGBM, code=1)
    assert (recording['camera'], recording['replay']['answered']) == ('rear', 2)
    error = capsys.readouterr().err.splitlines()[-1]
    assert '/front/left/image_rect and /front/right/image_rect have no camera_info' in error


def test_a_node_that_runs_already(
    bag: Path, tmp_path: Path, start_depth_node: Callable[..., Any]
) -> None:
    names = {f'{side}/{n}': f'/robot/{side}/{n}' for side in ('left', 'right')
             for n in ('image_rect', 'camera_info')}  # fmt: skip
    start_depth_node({**names, 'disparity': '/robot/disparity'}, use_sim_time=True)
    sent = [
        f'--send-{side}{ending}=/robot/{side}/{name}'
        for side in ('left', 'right')
        for ending, name in (('', 'image_rect'), ('-info', 'camera_info'))
    ]
    options = ('--node-running', '--disparity', '/robot/disparity')
    recording = replay(tmp_path, bag, *options, *sent)
    assert recording['replay']['answered'] == 5
    assert recording['replay']['memory_mib']['p50'] > 20
    assert [m['method'] for m in recording['measures']] == ['node sgbm', 'sgbm']


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--rate', '0'], '--rate must be above 0'),
        (['--loops', '0'], '--loops must be at least 1'),
        (['--node-running'], '/cam/left/camera_info: nobody listens to it; start the node, or'),
        (['--start', '100'], 'no image in this part of the bag'),
        (['--model', 'none.onnx'], 'none.onnx'),
    ],
)
def test_wrong_calls_are_one_line(
    bag: Path, options: list[str], message: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(replayer, '_LISTENER_S', 1.0)
    assert main(['replay', str(bag), *options]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if 'error' in line]
    assert len(lines) == 1
    assert message in lines[0]
    assert our_nodes() == []
