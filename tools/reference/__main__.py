"""Writes the reference pages of docs/; see the package."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import PAGES, difference, write


def main(argv: Sequence[str] | None = None) -> int:
    """Write or check all pages."""
    parser = argparse.ArgumentParser(prog='python -m tools.reference', description=__doc__)
    parser.add_argument(
        '--check', action='store_true', help='write nothing; show what differs, exit code 1'
    )
    args = parser.parse_args(argv)
    differing = {name: found for name in PAGES if (found := difference(name))}
    if args.check:
        for found in differing.values():
            print(found)
        return int(bool(differing))
    for name in differing:
        write(name)
        print(f'written: {name}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
