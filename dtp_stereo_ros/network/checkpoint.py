"""Model files that hold numbers and nothing else.

A checkpoint is ``{'format', 'config', 'state_dict', 'meta'}``: the architecture as plain values,
the weights, and how they were made; that of a pruned network has ``'widths'`` too, the layers that
differ from the config. It is read with ``weights_only=True``, so that no file can run code.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dtp_stereo_ros.errors import ModelError
from dtp_stereo_ros.image_io import atomic

from .family import Network, build, describe
from .widths import apply_widths, changed_widths

FORMAT = 'dtp_stereo/1'


def save(path: Path, network: Network, meta: dict[str, Any]) -> None:
    """Write `network` to `path`, whole or not at all.

    Args:
        path: where to; its folder must exist.
        network: member of the family.
        meta: plain values (strings, numbers, lists, dicts) that tell how it was made.
    """
    config = describe(network)
    content = {
        'format': FORMAT,
        'config': config,
        'state_dict': {k: v.detach().cpu() for k, v in network.state_dict().items()},
        'meta': meta,
    }
    with torch.device('meta'):
        unpruned = build(config)
    widths = changed_widths(network, unpruned)
    if widths:
        content['widths'] = widths
    write(path, content)


def write(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain values to `path`, whole or not at all."""
    # Into memory first: on a full disk PyTorch's writer raises errors of its own.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with atomic(path) as file:
        file.write(buffer.getbuffer())


def read(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU.

    Raises:
        ModelError: missing, not a checkpoint of this project, or holds more than plain values.
    """
    try:
        _check_archive(path)
        content = torch.load(path, map_location='cpu', weights_only=True)
    except FileNotFoundError:
        raise ModelError(f'model {path} does not exist; check the path') from None
    except IsADirectoryError:
        raise ModelError(f'model {path} is a folder; name the .pt in it') from None
    except Exception as error:
        # Bytes that are no pickle make the unpickler raise nearly anything.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f'model {path} is no checkpoint of dtp_stereo ({reason[:80]}); '
            'nothing in it was run; export or train it again'
        ) from None
    if not isinstance(content, dict) or content.get('format') != FORMAT:
        raise ModelError(f'model {path} is not of format {FORMAT}; was it made by dtp-stereo?')
    if not isinstance(content.get('meta', {}), dict):
        raise ModelError(f'model {path}: meta is no table; was it made by dtp-stereo?')
    content.setdefault('meta', {})
    return content


def load(path: Path) -> Network:
    """The network of a checkpoint in `eval` mode on the CPU.

    Raises:
        ModelError: see `read`; or the weights do not fit the architecture.
    """
    content = read(path)
    _check_sizes(path, content)
    network = architecture(content)
    try:
        network.load_state_dict(content['state_dict'])
    except (RuntimeError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f'model {path}: weights and architecture disagree ({reason})') from None
    for name, values in network.state_dict().items():
        if values.is_floating_point() and not bool(values.isfinite().all()):
            raise ModelError(
                f'model {path}: {name} holds NaN or Inf; take another checkpoint, or train again'
            )
    network.eval()
    return network


def architecture(content: dict[str, Any]) -> Network:
    """The network of a checkpoint's content with fresh weights.

    Raises:
        ModelError: its architecture is unknown or impossible.
    """
    network = build(content['config'])
    widths = content.get('widths', {})
    if not isinstance(widths, dict):
        raise ModelError('widths in a checkpoint are a table of layers; train or prune it again')
    apply_widths(network, widths)
    return network


def _check_archive(path: Path) -> None:
    """Refuse an archive that unpacks to more than it is; `torch.save` compresses nothing.

    Raises:
        ValueError: it does.
        OSError, zipfile.BadZipFile: unreadable, or no archive.
    """
    with zipfile.ZipFile(path) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError('it is compressed')


def _check_sizes(path: Path, content: dict[str, Any]) -> None:
    """Compare the architecture with the weights before anything of its size is allocated.

    Raises:
        ModelError: they disagree, or the weights are more than the file has.
    """
    try:
        state = {name: tuple(value.shape) for name, value in content['state_dict'].items()}
        held = sum(v.numel() * v.element_size() for v in content['state_dict'].values())
        with torch.device('meta'):
            planned = architecture(content).state_dict()
        wrong = [k for k, v in planned.items() if state.get(k) != tuple(v.shape)]
    except ModelError as error:
        raise ModelError(f'model {path}: {error}') from None
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f'model {path}: impossible architecture ({reason[:80]})') from None
    if wrong or held > path.stat().st_size:
        what = f'{wrong[0]} differs' if wrong else 'there is more than the file has'
        raise ModelError(f'model {path}: weights and architecture disagree ({what})')


def parameter_count(network: nn.Module) -> int:
    """Number of learned values."""
    return sum(p.numel() for p in network.parameters())
