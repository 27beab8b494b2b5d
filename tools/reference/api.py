"""The page of the Python API, from the docstrings."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from types import ModuleType
from typing import Any

from .markdown import code

# Module -> its public names that the page has, in this order.
_NAMES: dict[str, tuple[str, ...]] = {
    'dtp_stereo_ros.pipeline': ('StereoPipeline',),
    'dtp_stereo_ros.config': ('PipelineConfig',),
    'dtp_stereo_ros.stereo': ('StereoFrame', 'StereoCalibration', 'StereoResult'),
    'dtp_stereo_ros.image_io': ('read_image', 'read_pair', 'write_png', 'write_ply'),
    'dtp_stereo_ros.calibration_io': ('read_calibration',),
    'dtp_stereo_ros.confidence': ('confidence_of', 'sigma_px_of'),
    'dtp_stereo_ros.evaluation.metrics': ('epe_px', 'bad', 'd1', 'density', 'score'),
    'dtp_stereo_ros.evaluation.result_file': ('read',),
    'dtp_stereo_ros.errors': (
        'StereoError',
        'InputError',
        'CalibrationError',
        'ConfigError',
        'ModelError',
        'BackendError',
    ),
}
_SECTION = re.compile(r'^(Args|Attributes|Returns|Raises|Yields):$', re.MULTILINE)
_ENTRY = re.compile(r'^ {4}(\S[^:\n]*): ', re.MULTILINE)


def sections() -> dict[str, str]:
    """All modules, one section."""
    parts = []
    for path, names in _NAMES.items():
        module = importlib.import_module(path)
        parts.append(f'## {path}\n')
        # The rest of it is for those who work on the module.
        summary = (inspect.getdoc(module) or '').partition('\n\n')[0]
        parts.append(f'{_prose(summary)}\n')
        parts += [_member(module, name) for name in names]
    return {'api': '\n'.join(parts).rstrip()}


def _member(module: ModuleType, name: str) -> str:
    found: Any = getattr(module, name)
    lines = [f'### {name}\n', f'```text\n{_signature(name, found)}\n```\n', _documented(found)]
    if inspect.isclass(found):
        for method, member in _public(found):
            lines.append(f'#### {name}.{method}\n')
            if isinstance(member, property):
                lines.append(f'A property. {_documented(member)}')
            else:
                lines.append(f'```text\n{_signature(method, member)}\n```\n')
                lines.append(_documented(member))
    return '\n'.join(lines)


def _public(cls: type) -> list[tuple[str, Any]]:
    """Name and object of the methods and properties that a class itself defines."""
    return [
        (name, member)
        for name, member in vars(cls).items()
        if not name.startswith('_')
        and (inspect.isfunction(member) or isinstance(member, property))
    ]


def _signature(name: str, found: Any) -> str:
    """As it is written, without `self`; of an exception its name alone."""
    if inspect.isclass(found) and issubclass(found, Exception):
        return name
    if inspect.isclass(found) and dataclasses.is_dataclass(found):
        # The defaults of a config are on the page of the parameters.
        fields = [field.name for field in dataclasses.fields(found)]
        return f'{name}({", ".join(fields)})'
    function = found.__init__ if inspect.isclass(found) else found
    signature = inspect.signature(function)
    kept = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.name != 'self'
    ]
    shown = signature.replace(parameters=kept, return_annotation=inspect.Signature.empty)
    result = signature.return_annotation
    has_result = not inspect.isclass(found) and result not in (inspect.Signature.empty, 'None')
    return f'{name}{shown}{f" -> {result}" if has_result else ""}'


def _documented(found: Any) -> str:
    return f'{_prose(inspect.getdoc(found) or "")}\n'


def _prose(docstring: str) -> str:
    """A Google docstring as Markdown."""
    text = docstring.replace('``', '`')
    parts = _SECTION.split(text)
    shown = [parts[0].strip()]
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        shown.append(f'{title}:\n\n{_entries(body)}')
    return '\n\n'.join(shown)


def _entries(body: str) -> str:
    """The entries of a section as a list, or its text where it has none."""
    pieces = _ENTRY.split(body)
    if len(pieces) == 1:
        return _joined(body)
    entries = zip(pieces[1::2], pieces[2::2], strict=True)
    return '\n'.join(f'- {code(name)}: {_joined(text)}' for name, text in entries)


def _joined(text: str) -> str:
    return ' '.join(text.split())
