#!/bin/sh
# What the tests need beside Python packages, by apt-get: a browser for the page's tests.
set -eu
missing=""
command -v chromium >/dev/null || missing="$missing chromium"
[ -z "$missing" ] && exit 0
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -qq -y --no-install-recommends $missing >/dev/null
