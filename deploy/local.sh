#!/usr/bin/env bash
# Holdfast on this machine: installs what is missing, builds, and runs `holdfast up` with the options
# given here. It ends when that ends; Ctrl-C or SIGTERM go straight to it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

deploy/deps.sh
cmake --preset release >/dev/null
cmake --build --preset release
exec build/release/bin/holdfast up "$@"
