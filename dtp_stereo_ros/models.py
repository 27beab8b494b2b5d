"""Finding model files, and reading what they say about themselves.

Shipped models live in the source tree as ``resource/models/NAME.onnx`` and ``NAME.pt``;
`setup.py` installs that folder as data files under ``share/dtp_stereo/models``. A bare name is
looked for in

1. every folder of ``DTP_STEREO_MODEL_PATH`` (separated like PATH),
2. ``resource/models`` beside this package: a source checkout or an editable install,
3. ``share/dtp_stereo/models`` below each folder above this package: the prefix of a pip or a
   colcon install,
4. the same below each prefix of ``AMENT_PREFIX_PATH``: a sourced colcon workspace.

An .onnx file describes itself by ``metadata_props``: ``dtp_stereo.name``,
``dtp_stereo.padding_multiple``, ``dtp_stereo.max_disparity_px``, ``dtp_stereo.min_width_px`` and
``dtp_stereo.precision``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import ConfigError, ModelError
from .paths import expanded

MODEL_PATH_VARIABLE = 'DTP_STEREO_MODEL_PATH'
METADATA_PREFIX = 'dtp_stereo.'

# Multiples, px, that a foreign .onnx may want sizes to be of; the first until it has been tried.
PADDINGS = (32, 64, 128)
# What it is taken for when the user names its path.
_ASSUMED_MAX_DISPARITY = 192

# Larger is no stereo network, and an .onnx file cannot be larger (protobuf encoding guide).
_MAX_BYTES = 2**31
# Of paddings and disparities in the metadata.
_MAX_PX = 4096

_BLOCK_BYTES = 2**22

_SHARE = Path('share', 'dtp_stereo', 'models')
# From lib/python3.x/site-packages/dtp_stereo_ros up to the prefix, and one to spare (Debian).
_LEVELS_TO_PREFIX = 5


@dataclass(frozen=True)
class ModelSpec:
    """Properties of a model that the pipeline needs, from the model file's own metadata.

    Attributes:
        name: under which the model was exported, or 'sgbm' for the classical matcher.
        padding_multiple: width and height given to `infer` must be multiples of this.
        fixed_size: (height_px, width_px) when the model accepts only that size, else None.
        max_disparity_px: the network cannot see disparities at or beyond this (network pixels).
        min_disparity_px: the smallest disparity that is searched, same pixels.
        min_width_px: narrowest input that makes sense.
        precision: 'fp32', 'bf16' or 'fp16': what inference really runs in.
        sha256: of the model file, hex, or '' where there is no file.
        has_confidence: whether `infer` returns a confidence.
        foreign: whether the file says nothing about itself, and usual values are assumed.
        chosen_range: whether the range of disparities is a setting of the user.
    """

    name: str
    padding_multiple: int
    max_disparity_px: int
    precision: str = 'fp32'
    sha256: str = ''
    fixed_size: tuple[int, int] | None = None
    min_disparity_px: int = 0
    min_width_px: int = 64
    has_confidence: bool = True
    foreign: bool = False
    chosen_range: bool = False


def folders() -> list[Path]:
    """Existing folders that hold models, in the order in which they are searched."""
    package = Path(__file__).resolve().parent
    candidates = [
        *_paths_in(MODEL_PATH_VARIABLE),
        package.parent / 'resource' / 'models',
        *(parent / _SHARE for parent in package.parents[:_LEVELS_TO_PREFIX]),
        *(prefix / _SHARE for prefix in _paths_in('AMENT_PREFIX_PATH')),
    ]
    return [folder for folder in dict.fromkeys(candidates) if folder.is_dir()]


def names(suffixes: Sequence[str]) -> list[str]:
    """Names of the models in `folders()` that have a file with one of these endings."""
    return sorted({p.stem for f in folders() for s in suffixes for p in f.glob(f'*{s}')})


def is_path(name_or_path: str) -> bool:
    """Whether a model setting means a file, and not the name of a shipped model."""
    return Path(name_or_path).suffix in ('.onnx', '.pt') or Path(name_or_path).name != name_or_path


def resolve(name_or_path: str, suffixes: Sequence[str]) -> Path:
    """Find the file of a model.

    Args:
        name_or_path: name of a shipped model, or a path.
        suffixes: endings that the caller reads, e.g. ('.onnx',).

    Raises:
        ModelError: there is no such file, it is of another kind, or its folder cannot be read.
    """
    try:
        return _resolved(name_or_path, suffixes)
    except OSError as error:
        raise ModelError(f'{name_or_path}: {error.strerror}; check the path') from error


def _resolved(name_or_path: str, suffixes: Sequence[str]) -> Path:
    kinds = ' or '.join(suffixes)
    if is_path(name_or_path):
        path = expanded(name_or_path)
        if path.suffix not in suffixes:
            raise ModelError(f'{path}: {kinds} is read here; name a model of that kind')
        if path.is_dir():
            raise ModelError(f'{path}: is a folder; name the model in it')
        if not path.is_file():
            raise ModelError(f'{path}: no such model file; check the path')
        return _bounded(path)
    searched = folders()
    for folder in searched:
        for suffix in suffixes:
            path = folder / f'{name_or_path}{suffix}'
            if path.is_file():
                return _bounded(path)
    found = names(suffixes)
    known = f'there is {", ".join(found)}' if found else 'there is none at all'
    places = ', '.join(map(str, searched)) or 'no model folder exists'
    raise ModelError(
        f'no model {name_or_path!r} with ending {kinds} ({known}; searched: {places}); give a '
        f'path or set {MODEL_PATH_VARIABLE}'
    )


def _bounded(path: Path) -> Path:
    size = path.stat().st_size
    if size > _MAX_BYTES:
        raise ModelError(
            f'{path}: {size / 2**30:.1f} GiB are more than a model has '
            f'({_MAX_BYTES / 2**30:g} GiB); check the file'
        )
    return path


def sha256(path: Path) -> str:
    """Hex digest of all of a model: its file, and those that an .onnx keeps its weights in.

    Raises:
        ModelError: a file cannot be read, or lies outside of the folder of the model.
    """
    try:
        return _digest(path, path.read_bytes())
    except OSError as error:
        raise ModelError(f'{path}: cannot be read ({error.strerror}); check the file') from error


def _digest(path: Path, content: bytes) -> str:
    try:
        outside = external_files(content) if path.suffix == '.onnx' else []
    except ValueError:  # no ONNX model: whoever reads it says so
        outside = []
    digest = hashlib.sha256(content)
    for name in outside:
        place = path.parent / name
        if not place.resolve().is_relative_to(path.parent.resolve()):
            mend = 'save the model again, with them beside it'
            if place.is_symlink():  # as in the cache of Hugging Face
                mend = f'copy its folder with what links lead to: cp -rL {path.parent} COPY'
            raise ModelError(
                f'{path}: cannot load it: its weights are in {name}, outside of its folder; {mend}'
            )
        if not place.is_file():
            raise ModelError(f'{path}: its weights {name} are missing; put that file beside it')
        with place.open('rb') as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()


def onnx_spec(path: Path, *, assume: bool) -> ModelSpec:
    """Describe an .onnx file by its metadata.

    Args:
        path: the file.
        assume: take usual values for a file without our metadata (the user chose that file)
            instead of refusing it.

    Raises:
        ModelError: unreadable, no ONNX model, or without usable metadata.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f'{path}: cannot be read ({error.strerror}); check the file') from error
    try:
        metadata = onnx_metadata(content)
    except ValueError as error:
        raise ModelError(
            f'{path}: is no ONNX model ({error}); download or export it again'
        ) from error
    digest = _digest(path, content)
    ours = {
        key[len(METADATA_PREFIX) :]: value
        for key, value in metadata.items()
        if key.startswith(METADATA_PREFIX)
    }
    if not ours and assume:
        return ModelSpec(
            path.stem, PADDINGS[0], _ASSUMED_MAX_DISPARITY, sha256=digest, foreign=True
        )
    try:
        return ModelSpec(
            name=ours['name'],
            padding_multiple=_positive(ours, 'padding_multiple'),
            max_disparity_px=_positive(ours, 'max_disparity_px'),
            min_width_px=_positive(ours, 'min_width_px'),
            precision=ours['precision'],
            sha256=digest,
        )
    except KeyError as error:
        raise ModelError(
            f'{path}: metadata {METADATA_PREFIX}{error.args[0]} is missing; export it with '
            'dtp-stereo export'
        ) from error
    except ValueError as error:
        raise ModelError(f'{path}: metadata {METADATA_PREFIX}{error}; export it again') from error


def onnx_metadata(content: bytes) -> dict[str, str]:
    """Read `metadata_props` out of an .onnx file without an ONNX library.

    Walks the protobuf wire format of ModelProto: field 7 is the graph, field 14 the repeated
    StringStringEntryProto (1: key, 2: value) (onnx.proto, protobuf encoding guide). By hand,
    though the runtimes read them too: a file is described, and refused in one line, before a
    runtime is chosen that loads its graph.

    Raises:
        ValueError: the bytes are no ModelProto with a graph.
    """
    metadata: dict[str, str] = {}
    has_graph = False
    for number, value in _fields(memoryview(content)):
        if number == 7:
            has_graph = True
        elif number == 14:
            entry = {n: bytes(v).decode() for n, v in _fields(value)}
            metadata[entry.get(1, '')] = entry.get(2, '')
    if not has_graph:
        raise ValueError('it holds no graph')
    return metadata


# Where tensors are in a message of onnx.proto: field number to the kind of message in it.
_WITH_TENSORS: dict[str, dict[int, str]] = {
    'model': {7: 'graph', 20: 'training', 25: 'function'},
    'training': {1: 'graph', 2: 'graph'},
    'function': {7: 'node', 11: 'attribute'},
    'graph': {1: 'node', 5: 'tensor', 15: 'sparse'},
    'node': {5: 'attribute'},
    'attribute': {5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse'},
    'sparse': {1: 'tensor', 2: 'tensor'},
    'tensor': {},
}
_EXTERNAL_DATA = 13


def external_files(content: bytes) -> list[str]:
    """Names of the files that an .onnx file keeps tensors in, sorted; usually none.

    Raises:
        ValueError: the bytes are no ModelProto.
    """
    found: set[str] = set()
    waiting = [('model', memoryview(content))]
    while waiting:
        kind, data = waiting.pop()
        inner = _WITH_TENSORS[kind]
        for number, value in _fields(data):
            if number in inner:
                waiting.append((inner[number], value))
            elif kind == 'tensor' and number == _EXTERNAL_DATA:
                entry = {n: bytes(v).decode() for n, v in _fields(value)}
                if entry.get(1) == 'location':
                    found.add(entry.get(2, ''))
    return sorted(found)


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and payload of each length-delimited protobuf field; scalars are skipped."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            _, at = _varint(data, at)
        elif kind == 2:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise ValueError('it is cut off')
            yield key >> 3, data[at : at + length]
            at += length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError('it is not in protobuf format')


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data):
            raise ValueError('it is cut off')
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError('it is not in protobuf format')


def _positive(metadata: dict[str, str], key: str) -> int:
    text = metadata[key]
    # Short first: Python refuses to read thousands of digits, in words of its own.
    if not text.isdecimal() or len(text) > 9 or not 0 < int(text) <= _MAX_PX:
        raise ValueError(f'{key} is {text[:20]!r}, not a whole number from 1 to {_MAX_PX}')
    return int(text)


def _paths_in(variable: str) -> list[Path]:
    try:
        return [expanded(p) for p in os.environ.get(variable, '').split(os.pathsep) if p]
    except ConfigError as error:
        raise ConfigError(f'{variable}: {error}') from None
