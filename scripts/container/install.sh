#!/bin/sh
# What both images run inside a bare Debian or Ubuntu: packages, then the set-up of the checkout at $1.
set -eu

export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install -y --no-install-recommends \
    ca-certificates g++ git libopenblas-dev make python3-dev python3-venv
rm -rf /var/lib/apt/lists/*

cd "$1"
# The wheel of aihwkit is not needed once it is installed.
WARMTILE_CACHE="${WARMTILE_CACHE:-/tmp/warmtile-cache}" make setup
rm -rf /tmp/warmtile-cache build/setup /root/.cache
"$1/.venv/bin/warmtile" --version
