"""Rosbags (ROS 1 and 2) as folders of training pairs. Needs `rosbags`, not ROS."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
from pathlib import Path

from ..config import NodeConfig
from ..errors import InputError
from ..health.stamps import recorded_findings
from ..image_io import atomic, write_pfm, write_png
from ..machine import setup_command
from ..paths import expanded, make_folder, split_at_commas
from ..stereo import SIDES
from .recorded_frames import RecordedCamera, Selection
from .recording import Recording
from .stereo_topics import StereoTopics, chosen_topics

_log = logging.getLogger(__name__)

# Stamps of the two views may differ by this where a driver stamps them one after the other.
_NODE = NodeConfig(approximate_sync=True, approximate_sync_tolerance_seconds=0.002)
# A robot that stands still repeats itself; more frames than this add nothing but disk.
_MAX_PAIRS = 2000
_OPTIONS = ('left', 'right', 'truth', 'info', 'camera')


def unpack_bag(place: str, cache: Path) -> Path:
    """Write the stereo frames of a bag as ``NAME_left.png NAME_right.png [NAME_disp.pfm]``, once.

    A pair that cannot be decoded, and with a truth topic a pair without truth, is left out.

    Args:
        place: ``FILE[,left=TOPIC,right=TOPIC,truth=TOPIC,info=TOPIC,camera=NAME]``. Without
            topics the rectified pair is found by its type and name; `truth` is a DisparityImage,
            a depth image (32FC1 m or 16UC1 mm, raw or compressed) of the left view, or a
            PointCloud2; `info` the camera_info of the right camera, where it is not beside its
            images.
        cache: the folder of pairs is made in it, and used again the next time.

    Returns:
        The folder of pairs.

    Raises:
        InputError: no such bag, no such topics, stamps by which images cannot be paired, not one
            pair that can be decoded, or a truth without one known pixel.
    """
    bag, options = _parse(place)
    # The time of a folder changes with its names alone, not with what is in its files.
    files = sorted(f for f in bag.rglob('*') if f.is_file()) if bag.is_dir() else [bag]
    states = [f'{state.st_size}|{state.st_mtime_ns}' for state in map(Path.stat, files)]
    label = '|'.join([place, *states])
    digest = hashlib.sha256(label.encode(errors='backslashreplace')).hexdigest()[:8]
    target = cache / f'{bag.stem}-{digest}'
    if target.is_dir():
        return target
    make_folder(cache)
    temporary = Path(tempfile.mkdtemp(prefix=f'{target.name}.', suffix='.tmp', dir=cache))
    temporary.chmod(0o755)  # as of a folder that is made without a secret
    try:
        with Recording(bag) as recording:
            topics = _topics(bag, recording, options)
            images = min(recording.counts[topics.by_part[side]] for side in SIDES)
            selection = Selection(every=-(-images // _MAX_PAIRS) or 1)
            camera = RecordedCamera(recording, topics, _NODE, selection)
            _write_pairs(bag, camera, temporary)
        with atomic(temporary / 'source.json') as file:
            file.write(json.dumps({'bag': place, **vars(topics)}).encode())
        try:
            temporary.replace(target)
        except OSError:
            # Another run has unpacked it meanwhile.
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _parse(place: str) -> tuple[Path, dict[str, str]]:
    parts = split_at_commas(place)
    bag = expanded(parts[0])
    if not bag.exists():
        raise InputError(f'{bag}: no such bag; check the path')
    options: dict[str, str] = {}
    for part in parts[1:]:
        key, equals, value = part.partition('=')
        if key not in _OPTIONS or not equals or not value:
            raise InputError(
                f'bag option {part!r}: write left=, right=, truth= or info=TOPIC, or camera=NAME'
            )
        options[key] = value
    return bag, options


def _topics(bag: Path, recording: Recording, options: dict[str, str]) -> StereoTopics:
    given = {key: topic for key, topic in options.items() if key != 'camera'}
    if 'info' in given:
        given['right_info'] = given.pop('info')
    name = options.get('camera', '')
    cameras = chosen_topics(recording, name, given, False, '{}={}')
    if len(cameras) > 1:
        names = ', '.join(repr(camera.name) for camera in cameras)
        raise InputError(f'{bag}: {len(cameras)} cameras ({names}); choose one by camera=NAME')
    return cameras[0]


def _write_pairs(bag: Path, camera: RecordedCamera, folder: Path) -> None:
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise InputError(f'{bag}: {error}; {setup_command("bag")}') from error
    seen = written = 0
    truth = camera.topics.truth
    with tqdm(total=camera.expected(), unit='pair', desc=bag.name, mininterval=1) as bar:
        for recorded in camera.frames():
            bar.update()
            seen += 1
            if truth and recorded.truth_px is None:
                continue
            name, frame = f'{recorded.index:06d}', recorded.frame
            write_png(folder / f'{name}_left.png', frame.left)
            write_png(folder / f'{name}_right.png', frame.right)
            if truth and recorded.truth_px is not None:
                write_pfm(folder / f'{name}_disp.pfm', recorded.truth_px)
            written += 1
    topics = {side: camera.topics.by_part[side] for side in SIDES}
    if wrong := recorded_findings(camera.arrivals, topics):
        raise InputError(f'{bag}: {wrong[0].line}, and record again')
    if not seen:
        raise InputError(f'{bag}: ' + camera.why_nothing('used'))
    if not written:
        reason = next((f.line for f in camera.findings() if f.subject == 'truth'), '')
        raise InputError(
            f'{bag}: {truth} has no known pixel in {seen} pairs'
            + (f': {reason}' if reason else '; check its units and limits')
        )
    lines = [f'{count} pairs left out: {line}' for line, count in camera.faults.items()]
    lines += [f.line for f in camera.findings() if f.subject == 'brightness']
    for line in lines + camera.damage():
        _log.warning('%s: %s', bag, line)
    if camera.recording.broken:
        _log.warning('%s; %d pairs were read', camera.recording.broken, written)
