# Sourced by demo.sh and test.sh: `install_into_venv EXTRA` makes .venv in the repository and
# installs the package into it with that extra. Where nothing changed since, it does nothing.

# The path of the interpreter, which `pip --python` needs: it does not look names up.
find_python() {
  local candidate
  for candidate in ${PYTHON:-python3.11 python3}; do
    if "$candidate" -c 'if True:
      import sys
      if not (3, 10) <= sys.version_info[:2] <= (3, 14):
        sys.exit(1)
      print(sys.executable)' 2>/dev/null; then
      return
    fi
  done
  echo "${PYTHON:-python3} is no Python 3.10 to 3.14 (for which there are wheels of ROS 2): set PYTHON=/path/to/python3.11" >&2
  return 1
}

install_into_venv() {
  local extra=$1 python stamp
  stamp=.venv/installed-$extra-$(cat setup.py setup.cfg pyproject.toml | sha256sum | cut -c1-16)
  if [ -e "$stamp" ]; then return; fi
  python=$(find_python)
  "$python" -m pip --python "$python" --version >/dev/null 2>&1 || {
    echo "pip 22.3 or newer is missing: apt install python3-pip, then $python -m pip install -U pip" >&2
    return 1
  }
  # Without ensurepip, which Debian ships apart; the outer pip installs into it.
  [ -x .venv/bin/python ] || "$python" -m venv --without-pip .venv
  echo "installing dtp_stereo[$extra] into .venv (the first time this takes a few minutes)"
  "$python" -m pip --python .venv/bin/python install -qq --disable-pip-version-check \
    --editable ".[$extra]"
  touch "$stamp"
}
