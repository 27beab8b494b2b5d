#!/usr/bin/env bash
# Python of 64-bit ARM on an x86-64 machine with Debian, by emulation (qemu-user):
#
#   tools/emulate_arm.sh                     the selftests of docs/reports/platforms.md
#   tools/emulate_arm.sh PYTHON-ARGUMENTS    e.g. -m pytest -q test/pairing
#
# CPU=cortex-a53, cortex-a72, cortex-a76 (default) or another that `qemu-aarch64-static -cpu help`
# lists. It needs qemu-user-static (QEMU names another program), apt-get and dpkg-deb, the .venv that
# ./test.sh makes, and PyPI. Python and its libraries are Debian's arm64 packages, unpacked into
# .venv-arm (1.3 GB); the packages of this machine stay as they are. It tells whether the results
# are right, and nothing about speed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
here=$PWD
home=$here/.venv-arm
root=$home/root
python=$home/bin/python
cpu=${CPU:-cortex-a76}

qemu=$(command -v "${QEMU:-qemu-aarch64-static}") || {
  echo 'no qemu-aarch64-static: apt-get install qemu-user-static, or set QEMU' >&2
  exit 2
}
pip=(.venv/bin/python -m pip)
"${pip[@]}" --version >/dev/null 2>&1 || {
  echo 'no pip in .venv: run ./test.sh first, its pip installs' >&2
  exit 2
}

# Debian's packages, with an apt state of its own that knows arm64 only.
unpack_root() {
  local apt=$home/apt sources
  for sources in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
    [ -e "$sources" ] && break
  done
  mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$root"
  touch "$apt/status"
  local options=(
    -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=root
    -o Dir::Etc::sourcelist="$sources" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::State="$apt" -o Dir::State::status="$apt/status" -o Dir::State::lists="$apt/lists"
    -o Dir::Cache="$apt" -o Dir::Cache::archives="$apt/archives"
  )
  apt-get "${options[@]}" update
  apt-get "${options[@]}" install --download-only --no-install-recommends -y \
    python3 libstdc++6 libgomp1 >/dev/null
  for package in "$apt"/archives/*.deb; do
    dpkg-deb -x "$package" "$root"
  done
}

# A virtual environment whose interpreter is a script that starts the emulator: so do processes
# that Python starts.
make_environment() {
  mkdir -p "$home/bin"
  printf 'home = %s\ninclude-system-site-packages = false\n' "$root/usr/bin" >"$home/pyvenv.cfg"
  cat >"$python" <<END
#!/bin/sh
exec '$qemu' -L '$root' -0 '$python' '$root/usr/bin/python3' "\$@"
END
  chmod +x "$python"
}

# The files of Linux that tell the processor are those of this machine: ONNX Runtime and OpenVINO
# read them. In their place come those of the emulated one, which it is asked for.
describe_processor() {
  mkdir -p "$root/proc/device-tree"
  printf 'emulated by qemu-user %s, %s' "$("$qemu" --version | sed -n '1s/.* version \([0-9.]*\).*/\1/p')" \
    "$cpu" >"$root/proc/device-tree/model"
  "$python" - "$root" <<'END'
import ctypes
import mmap
import os
import struct
import sys
from pathlib import Path

# Bits of AT_HWCAP and AT_HWCAP2, in the order of Linux's arch/arm64/include/uapi/asm/hwcap.h.
FEATURES = (
    'fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm jscvt fcma '
    'lrcpc dcpop sha3 sm3 sm4 asimddp sha512 sve asimdfhm dit uscat ilrcpc flagm ssbs sb paca pacg'
).split()
FEATURES_2 = (
    'dcpodp sve2 sveaes svepmull svebitperm svesha3 svesm4 flagm2 frint svei8mm svef32mm '
    'svef64mm svebf16 i8mm bf16 dgh rng bti mte'
).split()
AT_HWCAP, AT_HWCAP2 = 16, 26
auxiliary = ctypes.CDLL(None).getauxval
auxiliary.restype = ctypes.c_ulong
auxiliary.argtypes = [ctypes.c_ulong]
features = [
    name
    for entry, names in ((AT_HWCAP, FEATURES), (AT_HWCAP2, FEATURES_2))
    for bit, name in enumerate(names)
    if auxiliary(entry) >> bit & 1
]

code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(struct.pack('<2I', 0xD5380000, 0xD65F03C0))  # mrs x0, midr_el1; ret
address = ctypes.addressof(ctypes.c_char.from_buffer(code))
midr = ctypes.CFUNCTYPE(ctypes.c_uint64)(address)()

root = Path(sys.argv[1])
processors = ''
for number in range(os.cpu_count()):
    processors += (
        f'processor\t: {number}\n'
        f'Features\t: {" ".join(features)}\n'
        f'CPU implementer\t: 0x{midr >> 24 & 0xFF:02x}\n'
        'CPU architecture: 8\n'
        f'CPU variant\t: 0x{midr >> 20 & 0xF:x}\n'
        f'CPU part\t: 0x{midr >> 4 & 0xFFF:03x}\n'
        f'CPU revision\t: {midr & 0xF}\n\n'
    )
    folder = root / f'sys/devices/system/cpu/cpu{number}/regs/identification'
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'midr_el1').write_text(f'0x{midr:016x}\n')
(root / 'proc/cpuinfo').write_text(processors)
END
}

stamp=$home/installed-$(sha256sum <"tools/$(basename "${BASH_SOURCE[0]}")" | cut -c1-16)
if [ ! -e "$stamp" ]; then
  echo "installing Debian's arm64 packages and the wheels into .venv-arm" >&2
  rm -rf "$home"
  unpack_root
  make_environment
  # pip runs under emulation too: it chooses wheels by the machine that it runs on. Newer wheels of
  # PyTorch for ARM are those with CUDA, four times as large. It compiles what is imported, not all.
  "${pip[@]}" --python "$python" install -qq --no-compile --disable-pip-version-check \
    numpy opencv-python-headless PyYAML 'onnxruntime>=1.16' 'openvino>=2024.0' 'torch>=2.2,<2.10' \
    'scikit-image>=0.22' 'rosbags>=0.11' 'mcap>=1.1' 'tqdm>=4.60' 'pytest>=8' 'hypothesis>=6.90'
  touch "$stamp"
fi
make_environment # QEMU may be another one than before
export QEMU_CPU=$cpu PYTHONPATH=$here OMP_NUM_THREADS=1
describe_processor

if [ $# -gt 0 ]; then
  exec "$python" "$@"
fi
"$python" -m dtp_stereo_ros.cli selftest --backend openvino,onnx,torch,sgbm --runs 0 --threads 1 \
  --size 320x192 --json "docs/reports/selftests/qemu-aarch64-$cpu.json"
