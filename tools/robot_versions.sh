#!/usr/bin/env bash
# Tests core, node over DDS, doctor and infer on the versions that a robot has, in a virtual
# environment of its own: tools/robot_versions.sh [NAME [pytest arguments]]. With no name, the
# versions of the gate: debian. Where this machine lacks a version, it says so and exits with 0.
set -euo pipefail
shopt -s extglob
cd "$(dirname "${BASH_SOURCE[0]}")/.."
name=${1:-debian}
shift || true

# Python (the first that is there), its packages, and the release of rclpy that is nearest to the
# distribution's among those with wheels: Humble's own, 3.3, has none, and Lyrical's, 10.0, neither.
packages=()
case $name in
  debian)  python=/usr/bin/python3 rclpy=9.1 messages=5.5 ;;  # OpenCV and NumPy by apt
  humble)  python=python3.10 rclpy=7.1 messages=5.3
           packages=(numpy==1.21.5 opencv-python-headless==4.5.4.60 PyYAML==6.0) ;;
  jazzy)   python=python3.12 rclpy=7.1 messages=5.3
           packages=(numpy==1.26.4 opencv-python-headless==4.6.0.66 PyYAML==6.0.1) ;;
  kilted)  python=python3.12 rclpy=9.1 messages=5.5
           packages=(numpy==1.26.4 opencv-python-headless==4.6.0.66 PyYAML==6.0.1) ;;
  lyrical) python='python3.14 python3.13' rclpy=9.1 messages=5.5
           packages=('numpy==2.3.*' 'opencv-python-headless==4.10.*' PyYAML==6.0.3) ;;
  *) echo "$name is unknown; choose debian, humble, jazzy, kilted or lyrical" >&2; exit 2 ;;
esac

skip() {
  echo "robot versions, $name: not tested here: $1"
  exit 0
}

# The first that runs, also among those of pyenv, whose shims answer only for the chosen versions.
find_python() {
  local name candidate
  for name in $python; do
    for candidate in "$name" "${PYENV_ROOT:-$HOME/.pyenv}/versions/${name#python}".*/bin/python; do
      if "$candidate" -c '' 2>/dev/null; then
        echo "$candidate"
        return
      fi
    done
  done
  return 1
}
python=$(find_python) || skip "there is no ${python// / or }"
# The pip that installs into the environments: of the project's own, which test.sh makes.
pip=(.venv/bin/python -m pip)
"${pip[@]}" --version >/dev/null 2>&1 || skip 'run ./test.sh first: its pip installs'

venv=.venv-robot-$name
pip+=(--python "$venv/bin/python" install -qq --disable-pip-version-check)
if [ "$name" = debian ]; then
  if ! /usr/bin/python3 -c 'import cv2' 2>/dev/null; then
    command -v apt-get >/dev/null || skip 'no apt-get and no python3-opencv'
    [ "$(id -u)" = 0 ] || skip 'no python3-opencv: apt-get install python3-opencv, as root'
    echo 'installing python3-opencv'
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive \
      apt-get -qq install --no-install-recommends -y python3-opencv; } >/dev/null 2>&1 ||
      skip 'apt-get could not install python3-opencv'
  fi
  /usr/bin/python3 -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))' ||
    skip 'rclpy has wheels for Python 3.10 to 3.14 only'
  site=--system-site-packages
else
  site=
fi
stamp=$venv/installed-$(sha256sum <"tools/$(basename "${BASH_SOURCE[0]}")" | cut -c1-16)
if [ ! -e "$stamp" ]; then
  echo "installing the packages of $name into $venv"
  rm -rf "$venv"
  "$python" -m venv --without-pip $site "$venv"
  # What is there stays as it is: pip may neither replace NumPy nor bring another OpenCV.
  if [ "$name" = debian ]; then
    "$venv/bin/python" -c 'import numpy; print(f"numpy=={numpy.__version__}")' >"$venv/constraint"
  else
    printf '%s\n' "${packages[@]}" >"$venv/constraint"
  fi
  "${pip[@]}" -c "$venv/constraint" "${packages[@]}" 'openvino>=2024.0' 'rosbags>=0.10' mcap tqdm \
    'pytest>=8' 'pytest-xdist>=3.6' 'hypothesis>=6.90'
  "${pip[@]}" -c "$venv/constraint" "ros-rclpy[fastrtps]==$rclpy.*" \
    ros-{sensor,stereo,diagnostic,std}-msgs=="$messages.*"
  # ONNX Runtime asks for NumPy 1.21.6, and runs with 1.21.5, which Humble has.
  "${pip[@]}" -c "$venv/constraint" flatbuffers protobuf packaging
  "${pip[@]}" --no-deps onnxruntime
  echo "$PWD" >"$("$venv/bin/python" -c \
    'import sysconfig; print(sysconfig.get_paths()["purelib"])')/dtp_stereo.pth"
  touch "$stamp"
fi
"$venv/bin/python" - <<'END'
import importlib.metadata as metadata
import platform

import cv2
import numpy

versions = [f'Python {platform.python_version()}', f'NumPy {numpy.__version__}', f'OpenCV {cv2.__version__}']
for name in ('ros-rclpy', 'openvino', 'onnxruntime'):
    try:
        versions.append(f'{name} {metadata.version(name)}')
    except metadata.PackageNotFoundError:
        versions.append(f'no {name}')
print('robot versions:', ', '.join(versions), flush=True)
END

# A NumPy 2 that pip puts before the older one of apt: one line, exit code 2.
if [ "$name" = debian ] && [ $# = 0 ] && grep -q '==1' "$venv/constraint"; then
  [ -d "$venv/numpy2" ] || "${pip[@]}" --no-deps --target "$venv/numpy2" 'numpy>=2,<2.3'
  for entry in depth_node dtp_stereo; do
    code=0
    said=$(PYTHONPATH=$venv/numpy2 "$venv/bin/python" -c \
      "import sys; from dtp_stereo_ros import start; sys.exit(start.$entry())" 2>&1) || code=$?
    echo "$said"
    [[ $code = 2 && $said = *': NumPy 2.2.'*' hides the older one that OpenCV '* &&
      $said != *$'\n'* ]] || { echo 'it did not say in one line what is wrong' >&2; exit 1; }
  done
fi
if [ $# = 0 ]; then
  # Wheels and colcon, tools and docs are tested with the project's own environment.
  set -- test/{backends,commands,evaluation,health,messages,pairing,recordings} \
    test/test_!(packaging).py test/ros/test_{lifecycle,doctor,node}.py
fi
OMP_NUM_THREADS=1 "$venv/bin/python" -m pytest -q -p no:cacheprovider -n 2 --dist loadfile \
  -o faulthandler_exit_on_timeout=true "$@"
