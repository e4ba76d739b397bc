#!/usr/bin/env bash
# What has to pass of the Python package: its wheel is built, installed into a fresh environment, typed and tested there.
set -euo pipefail
cd "$(dirname "$0")"
target=$(realpath -m "${CARGO_TARGET_DIR:-../../target}")
export CARGO_TARGET_DIR=$target

cargo fmt --check
cargo clippy --release --all-targets --locked -- -D warnings
rm -rf "$target/python-environment" "$target/wheels"
python3 -m venv "$target/python-environment"
PATH="$target/python-environment/bin:$PATH"
python -m pip install --quiet --disable-pip-version-check -r requirements.txt
maturin build --release --locked --quiet -o "$target/wheels"
python -m pip install --quiet --disable-pip-version-check --no-deps "$target"/wheels/kithdb-*.whl
mypy --strict python/kithdb
# What is installed is as the stubs say.
python -m mypy.stubtest kithdb --mypy-config-file pyproject.toml

# Spark needs Java, which a machine may lack or have too old a one of: its tests are skipped then, and say so.
if ! command -v java >/dev/null 2>&1 && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y default-jre-headless; } >/dev/null 2>&1 || true
fi
python -m pytest -rs -W ignore
