#!/usr/bin/env bash
# The tests of the command line and of the public calls, run on the installed package: a wheel in a folder that cannot be written,
# from elsewhere than the checkout, with no HOME and in a terminal that knows little. The argument is a Python with the extra "dev".
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
python=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
place=$(mktemp -d)
trap 'chmod -R u+w "$place"; rm -rf "$place"' EXIT
mkdir "$place"/{source,work,temporary}

# The wheel is built from a copy, and installed beside the packages that $1 has, but not beside its checkout.
cp -r "$root"/{pyproject.toml,README.md,LICENSE,envs,h_dqn,skills_library} "$place/source"
find "$place/source" -name __pycache__ -prune -exec rm -rf {} +
"$python" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$place/wheel" "$place/source"
"$python" -m venv "$place/venv"
"$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$("$place/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/packages.pth"
"$place/venv/bin/python" -m pip install --quiet --no-deps "$place"/wheel/*.whl
rm -rf "$place/source"
cp -r "$root"/{pyproject.toml,tests} "$place"
chmod -R a-w "$place/venv"

# Root writes where it likes; without these capabilities it does not.
drop=()
[ "$(id -u)" != 0 ] || drop=(setpriv --bounding-set=-dac_override,-dac_read_search --)
cd "$place/work"
"${drop[@]}" env -i "$place/venv/bin/h-dqn" --version
# Left out: what reads the list of files of the checkout.
"${drop[@]}" env -u HOME -u PYTHONPATH LC_ALL=C PYTHONIOENCODING=latin-1 TMPDIR="$place/temporary" "$place/venv/bin/python" -m pytest \
    --rootdir "$place" -p no:cacheprovider -n "${WORKERS:-2}" --dist loadgroup --max-worker-restart 0 \
    "$place"/tests/test_{cli,stranger,evaluate,library,api,installed}.py \
    -k "not test_a_wheel_holds_every_file"
