# Sourced by `demo` and `test`: leaves a working .venv in the repository root and its programs on the PATH.
# Usage: prepare EXTRA, where EXTRA is "" or "[test]". Set PYTHON to choose the interpreter.

find_python() {
    for candidate in ${PYTHON:-} python3.12 python3.11 python3.13 python3 python3.14 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return 0
        fi
    done
    echo "tinyvio needs Python 3.11 or newer, and none was found. Install it, or name it: PYTHON=/path/to/python3 $0" >&2
    return 1
}

# One line that changes when the dependencies or the interpreter do; the repository's path is in the entry points.
fingerprint() {
    .venv/bin/python -c 'import hashlib, os, sys; print(hashlib.sha256(open("pyproject.toml", "rb").read()).hexdigest(), sys.version_info[:2], os.getcwd())'
}

prepare() {
    if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        python=$(find_python) || exit 1
        echo "making .venv with $("$python" --version)" >&2
        rm -rf .venv
        "$python" -m venv .venv || {
            rm -rf .venv
            echo "cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2
            exit 1
        }
    fi
    wanted=$(fingerprint)
    # an environment for the tests serves the demo too
    if [ "$(cat ".venv/installed$1" 2>/dev/null)" != "$wanted" ] && [ "$(cat ".venv/installed[test]" 2>/dev/null)" != "$wanted" ]; then
        echo "installing tinyvio and what it needs into .venv (once)" >&2
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".$1" || {
            echo "the installation failed: is a Python package index reachable?" >&2
            exit 1
        }
        echo "$wanted" >".venv/installed$1"
    fi
}
