"""Checkpoint to ONNX, compared with PyTorch on a real pair before it is kept."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from dtp_stereo_ros import models
from dtp_stereo_ros.errors import InputError, ModelError
from dtp_stereo_ros.image_io import write_text
from dtp_stereo_ros.markdown import table
from dtp_stereo_ros.models import ModelSpec
from dtp_stereo_ros.network import checkpoint
from dtp_stereo_ros.network.family import Network
from dtp_stereo_ros.network.psmnet import PSMNet
from dtp_stereo_ros.parity import Parity, allowed_text
from dtp_stereo_ros.preprocess import planes, prepare
from dtp_stereo_ros.stereo import Float32Array, StereoFrame

from .quantize import ImagePair, quantize

OPSET = 17
# Key of the metadata that tell what of a graph is in int8.
QUANTIZED = 'quantized'


def export_model(
    source: Path,
    folder: Path,
    name: str,
    frame: StereoFrame,
    evaluation: str = '',
    pair: str = 'the Motorcycle pair',
    int8: Sequence[ImagePair] = (),
) -> Parity:
    """Write NAME.onnx, NAME.pt (not of an int8 form) and the card NAME.md to `folder`.

    Args:
        source: checkpoint.
        folder: existing folder.
        name: of the model.
        frame: real pair on which the export is compared with the reference.
        evaluation: Markdown of `dtp-stereo eval` for the card, or ''.
        pair: what the card calls `frame`.
        int8: pairs for the int8 form of the .onnx (`quantize`); none leaves it in fp32.

    Raises:
        InputError: a folder, or a file that is no earlier export, has one of these names.
        ModelError: see `export_onnx`.
    """
    target, copy = (folder / f'{name}{ending}' for ending in ('.onnx', '.pt'))
    card = folder / f'{name}.md'
    for path in (target, copy, card):
        if path.is_dir():
            raise InputError(f'{path}: is a folder; give another --name')
    is_source = copy.exists() and copy.samefile(source)
    # As last.pt, in the folder of a run, or a model or a page of somebody else.
    exported = target.exists() and _is_ours(target)
    for path, own in (
        (target, exported),
        (copy, is_source or exported),
        (card, card.exists() and card.read_bytes().startswith(_heading(name).encode())),
    ):
        if path.exists() and not own:
            raise InputError(f'{path}: is no earlier export; give another --name or folder')
    parity = export_onnx(source, target, frame, int8)
    # An int8 form has no weights of its own.
    weights = source if int8 else copy
    if weights is copy and not is_source:
        checkpoint.save(copy, checkpoint.load(source), checkpoint.read(source)['meta'])
    write_text(card, model_card(name, target, weights, parity, evaluation, pair))
    return parity


def _is_ours(path: Path) -> bool:
    try:
        metadata = models.onnx_metadata(path.read_bytes())
    except ValueError:
        return False
    return any(key.startswith(models.METADATA_PREFIX) for key in metadata)


def _heading(name: str) -> str:
    """First line of a card."""
    return f'# {name}\n'


def export_onnx(
    source: Path, target: Path, frame: StereoFrame, int8: Sequence[ImagePair] = ()
) -> Parity:
    """Write `source` (.pt) as `target` (.onnx), with metadata, if it agrees on `frame`.

    Height and width stay free; both must be multiples of the padding that the metadata name. With
    pairs for `int8`, what is written and compared is its int8 form.

    Raises:
        InputError: the pairs for `int8` are of a size that the network does not take.
        ModelError: `source` is unusable or of no form of ONNX, or the exported model disagrees
            (nothing is written).
    """
    network = checkpoint.load(source)
    if isinstance(network, PSMNet):
        raise ModelError(
            f'{source}: PSMNet pools over parts of the image, whose sizes ONNX would keep; run '
            'the .pt with backend torch'
        )
    multiple = network.padding_multiple
    if any(side % multiple for left, _ in int8 for side in left.shape[2:]):
        raise InputError(f'--sizes: pairs for int8 must be multiples of {multiple} px here')
    spec = ModelSpec(network.name, multiple, network.max_disparity_px)
    prepared = prepare(frame, spec, 1.0)
    left, right = planes(prepared.left), planes(prepared.right)
    temporary = target.with_name(target.name + '.tmp')
    try:
        _trace(network, left, right, temporary)
        _describe(network, temporary, source, target.stem)
        precision = 'int8' if int8 else 'fp32'
        if int8:
            quantized = quantize(temporary, int8)
            temporary.write_bytes(quantized.model)
            _add_metadata(temporary, {QUANTIZED: quantized.text()})
        parity = compare(network, temporary, left, right)
        if not parity.fits(precision):
            raise ModelError(
                f'{target}: differs from PyTorch: {parity.text()}; {allowed_text(precision)}; not '
                'written'
            )
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return parity


def compare(network: Network, onnx_path: Path, left: Float32Array, right: Float32Array) -> Parity:
    """Difference between PyTorch and ONNX Runtime, both in fp32 on the CPU.

    Args:
        network: the reference, in `eval` mode.
        onnx_path: the exported model.
        left, right: float32 (1, 3, H, W), RGB 0-255, padded.
    """
    import onnxruntime

    with torch.inference_mode():
        expected = network(torch.from_numpy(left), torch.from_numpy(right))
    session = onnxruntime.InferenceSession(
        onnx_path.read_bytes(), providers=['CPUExecutionProvider']
    )
    disparity, confidence = session.run(
        ['disparity', 'confidence'], {'left': left, 'right': right}
    )
    return Parity.of((disparity, confidence), (expected[0].numpy(), expected[1].numpy()))


def _trace(network: Network, left: Float32Array, right: Float32Array, target: Path) -> None:
    free = {2: 'height', 3: 'width'}
    with warnings.catch_warnings():
        # The tracing exporter keeps height and width free with a tenth of the operators that
        # the graph-capturing one writes; its deprecation warning does not concern users.
        warnings.simplefilter('ignore')
        torch.onnx.export(
            network,
            (torch.from_numpy(left), torch.from_numpy(right)),
            str(target),
            input_names=['left', 'right'],
            output_names=['disparity', 'confidence'],
            dynamic_axes={name: free for name in ('left', 'right', 'disparity', 'confidence')},
            opset_version=OPSET,
            dynamo=False,
        )


def _describe(network: Network, path: Path, source: Path, name: str) -> None:
    """Write what `models.onnx_spec` reads, and which checkpoint this was, into the file."""
    facts = {
        'name': name,
        'padding_multiple': network.padding_multiple,
        'max_disparity_px': network.max_disparity_px,
        'min_width_px': network.min_width_px,
        'precision': 'fp32',
        'checkpoint_sha256': models.sha256(source),
    }
    _add_metadata(path, facts)


def _add_metadata(path: Path, facts: Mapping[str, object]) -> None:
    import onnx

    model = onnx.load(path)
    for key, value in facts.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = models.METADATA_PREFIX + key, str(value)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def model_card(
    name: str,
    exported: Path,
    weights: Path,
    parity: Parity,
    evaluation: str,
    pair: str = 'the Motorcycle pair',
) -> str:
    """Markdown that tells what a shipped model is and how it was made.

    Args:
        name: of the model.
        exported: its .onnx.
        weights: its .pt, or that of which `exported` is the int8 form.
        parity: of the export.
        evaluation: Markdown of `dtp-stereo eval`, or ''.
        pair: that the parity is of.
    """
    content = checkpoint.read(weights)
    network = checkpoint.load(weights)
    meta: dict[str, Any] = content['meta']
    facts = {
        'architecture': f'`{content["config"]}`',
        **{key.replace('_', ' '): _cell(value) for key, value in meta.items()},
        f'`{weights.name}` sha256': f'`{models.sha256(weights)}`',
        f'`{exported.name}` sha256': f'`{models.sha256(exported)}`',
        'ONNX Runtime against PyTorch': f'{parity.text()} on {_cell(pair)}',
    }
    metadata = models.onnx_metadata(exported.read_bytes())
    if text := metadata.get(models.METADATA_PREFIX + QUANTIZED):
        facts['int8'] = text
    lines = [
        _heading(name),
        f'{checkpoint.parameter_count(network) / 1e6:.2f} M parameters; disparities 0 to '
        f'{network.max_disparity_px} px; width and height multiples of '
        f'{network.padding_multiple} (the pipeline pads).',
        '',
        table(('', ''), list(facts.items())),
    ]
    if evaluation:
        lines += ['', '## Evaluation', '', _report_within(evaluation)]
    return '\n'.join(lines) + '\n'


def _report_within(evaluation: str) -> str:
    """A report below a heading of the card: without its title, and its pictures."""
    lines = evaluation.splitlines()
    kept = [line for line in lines if not line.startswith(('# ', '!['))]
    return '\n'.join(f'#{line}' if line.startswith('## ') else line for line in kept).strip()


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return ', '.join(f'{key} {entry}' for key, entry in value.items())
    if isinstance(value, (list, tuple)) and all(isinstance(e, (str, dict)) for e in value):
        return '; '.join(map(_cell, value))
    return str(value)
