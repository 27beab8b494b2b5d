"""Mends of images that do not pair can be typed as they stand."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from dtp_stereo_ros.health.sync import unpaired_finding


@given(st.integers(1, 4_999_999_999))
def test_the_tolerance_is_a_number_that_the_parameter_takes(gap_ns: int) -> None:
    """A node refuses a whole number, and a number that YAML takes for text."""
    found = unpaired_finding(gap_ns, '/depth_node', approximate=True, tolerance_ns=0)
    *_, name, value = found.mend.split()
    assert name == 'approximate_sync_tolerance_seconds'
    assert re.fullmatch(r'\d+\.\d+', value)
    assert float(value) >= 1e-9 * gap_ns
