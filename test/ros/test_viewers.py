"""Layouts of viewers: their topics are those of the node."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from dtp_stereo_ros.ros import diagnostics
from dtp_stereo_ros.ros.outputs import OUTPUT_TYPES

_CONFIG = Path(__file__).resolve().parents[2] / 'config'
_INPUTS = {'left/image_rect', 'right/image_rect'}


def texts(value: Any) -> Iterator[str]:
    """All texts in a JSON value, keys among them."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value


def leaves(layout: Any) -> Iterator[str]:
    """Panels of a layout."""
    if isinstance(layout, str):
        yield layout
        return
    assert layout['direction'] in ('row', 'column')
    yield from leaves(layout['first'])
    yield from leaves(layout['second'])


def test_topics_of_the_foxglove_layout_are_those_of_the_node() -> None:
    layout = json.loads((_CONFIG / 'foxglove' / 'dtp_stereo.json').read_text())
    panels = layout['configById']
    assert sorted(leaves(layout['layout'])) == sorted(panels)
    kinds = [name.partition('!')[0] for name in panels]
    assert sorted(kinds) == ['3D', 'DiagnosticSummary', 'Image', 'Image', 'Plot']
    # A path of a message begins with its topic.
    topics = {re.split(r'[.\[{]', text)[0] for text in texts(panels) if text.startswith('/')}
    assert topics == {
        '/left/image_rect', '/disparity/compressed', '/points2', '/diagnostics',
    }  # fmt: skip
    assert {t[1:] for t in topics} <= {*OUTPUT_TYPES, *_INPUTS, 'diagnostics'}


def test_the_plot_of_the_foxglove_layout_reads_diagnostics() -> None:
    layout = json.loads((_CONFIG / 'foxglove' / 'dtp_stereo.json').read_text())
    paths = [path['value'] for path in layout['configById']['Plot!latency']['paths']]
    source = Path(diagnostics.__file__).read_text()
    for path in paths:
        found = re.search(r'name=="depth_node: (.+?)".*key=="(.+?)"', path)
        assert found is not None
        assert all(f"'{name}'" in source for name in found.groups())


def test_topics_of_the_rviz_displays_are_those_of_the_node() -> None:
    displays = yaml.safe_load((_CONFIG / 'rviz' / 'depth.rviz').read_text())
    topics = [
        display['Topic']['Value']
        for display in displays['Visualization Manager']['Displays']
        if 'Topic' in display
    ]
    assert 'disparity/compressed' in topics
    assert set(topics) <= {*OUTPUT_TYPES, *_INPUTS}
