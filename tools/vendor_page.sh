#!/usr/bin/env bash
# Takes the libraries of the page of `dtp-stereo bag --report` from npm into
# dtp_stereo_ros/evaluation/page: uPlot for plots, regl for point clouds; one version of each, checked
# by its digest, with its licence. The files are committed, so that neither a build nor the page needs
# the network.
set -euo pipefail

page=$(cd "$(dirname "$0")/.." && pwd)/dtp_stereo_ros/evaluation/page
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# take NAME VERSION DIGEST [FILE ENDING]...: files of the package as NAME-VERSION.ENDING. The digest is
# that of `npm view NAME@VERSION dist.integrity`, base64 of the SHA-512 of the package.
take() {
  local name=$1 version=$2 digest=$3 found
  shift 3
  npm pack --silent "$name@$version" >/dev/null
  found=$(openssl dgst -sha512 -binary "$name-$version.tgz" | base64 -w 0)
  [ "$found" = "$digest" ] || { echo "$name $version has digest $found, expected $digest" >&2; exit 1; }
  tar xzf "$name-$version.tgz"
  while [ $# -gt 0 ]; do
    cp "package/$1" "$page/$name-$version.$2"
    shift 2
  done
  rm -r package
  echo "$name $version is in $page"
}

take uplot 1.6.32 'KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==' \
  dist/uPlot.iife.min.js min.js dist/uPlot.min.css min.css LICENSE LICENSE
take regl 2.1.1 '+IOGrxl3FZ8ZM9ixCWQZzFRiRn7Rzn9bu3iFHwg/yz4tlOUQgbO4PHLgG+1ZT60zcIV8tief6Qrmyl8qcoJP0g==' \
  dist/regl.min.js min.js LICENSE LICENSE
