"""A short run of the fuzzer; the long one is `python -m tools.fuzz`."""

from __future__ import annotations

import pytest

from tools.fuzz import fuzzer

# Seed and case that once took seconds: PNG files that ask for many millions of pixels, and one
# with a chunk of gigabytes.
FOUND = ((0, 1632), (0, 97359), (4, 11625))


@pytest.mark.usefixtures('ros')
@pytest.mark.filterwarnings('ignore::RuntimeWarning')
def test_no_mutation_breaks_the_node() -> None:
    with fuzzer() as made:
        report = made.run(seed=1, first=0, count=800)
        assert report.bugs == []
        # It does not only knock at the door: results, refusals and settings all happen.
        assert report.outcomes['result'] > 50
        assert report.outcomes['image'] > 50
        assert report.outcomes['calibration'] > 50
        assert report.outcomes['refused'] > 10
        assert report.outcomes['set'] > 3
        for seed, case in FOUND:
            found = made.run(seed=seed, first=case, count=1)
            assert (found.bugs, found.outcomes) == ([], {'image': 1})
