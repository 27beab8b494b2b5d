#!/usr/bin/env bash
# Sets up .venv for development and runs all checks; arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. scripts/install.sh
install_into_venv dev
export PATH="$PWD/.venv/bin:$PATH"
ruff check .
ruff format --check .
mypy
# Two files at a time, each on one core: half of them wait for messages most of the time.
# A test that hangs ends its process, and fails. An older pytest refuses this setting in a file.
OMP_NUM_THREADS=1 pytest -n 2 --dist loadfile -o faulthandler_exit_on_timeout=true "$@"
