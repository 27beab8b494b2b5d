#!/usr/bin/env bash
# Sets everything up in .venv and shows the main job: see `dtp-stereo demo -h`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. scripts/install.sh
install_into_venv demo
exec .venv/bin/dtp-stereo demo "$@"
