"""Measures of a frame: a mapping, in a third of the memory of one."""

import pickle
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtp_stereo_ros.evaluation.frame_values import FrameValues


@given(st.dictionaries(st.text(max_size=8), st.floats(allow_nan=False)))
def test_it_is_the_mapping_that_it_was_made_of(values):
    found = FrameValues(values)
    assert dict(found) == values
    assert list(found) == list(values) and len(found) == len(values)
    again = pickle.loads(pickle.dumps(found))
    assert dict(again) == values and isinstance(again, FrameValues)


def test_a_key_that_is_not_there():
    found = FrameValues({'epe_px': 1.0})
    assert found.get('bad_3', -1.0) == -1.0 and 'bad_3' not in found
    with pytest.raises(KeyError, match='bad_3'):
        found['bad_3']


def test_names_are_kept_once():
    names = [f'measure_{i}' for i in range(12)]
    first, second = (FrameValues({name: float(i) for i, name in enumerate(names)}) for _ in '12')
    assert first._keys is second._keys
    assert sys.getsizeof(first) + sys.getsizeof(first._values) < 300
