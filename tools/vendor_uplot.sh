#!/usr/bin/env bash
# Takes uPlot, the plots of the page of `dtp-stereo bag --report`, from npm into
# dtp_stereo_ros/evaluation/page: one version, checked by its digest, with its licence.
# The files are committed, so that neither a build nor the page needs the network.
set -euo pipefail

version=1.6.32
# As of `npm view uplot@$version dist.integrity`, base64 of the SHA-512 of the package.
digest='KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw=='

page=$(cd "$(dirname "$0")/.." && pwd)/dtp_stereo_ros/evaluation/page
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm pack --silent "uplot@$version" >/dev/null
found=$(openssl dgst -sha512 -binary "uplot-$version.tgz" | base64 -w 0)
[ "$found" = "$digest" ] || { echo "uplot $version has digest $found, expected $digest" >&2; exit 1; }
tar xzf "uplot-$version.tgz"
cp package/dist/uPlot.iife.min.js "$page/uplot-$version.min.js"
cp package/dist/uPlot.min.css "$page/uplot-$version.min.css"
cp package/LICENSE "$page/uplot-$version.LICENSE"
echo "uplot $version is in $page"
