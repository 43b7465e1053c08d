#!/bin/sh
# What the tests need beside Python packages, by apt-get: a browser for the page's tests; strace, which sees what programs
# ask of the network; Maven, and a JDK of 21 or newer where the system has one, for Elasticsearch.
set -eu

has_jdk() {
  for home in "${ES_JAVA_HOME:-}" "${JAVA_HOME:-}" /usr/lib/jvm/*; do
    [ -x "$home/bin/javac" ] || continue
    version=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$home/release" 2>/dev/null)
    [ "${version:-0}" -ge 21 ] && return 0
  done
  return 1
}

missing=""
command -v chromium >/dev/null || missing="$missing chromium"
command -v strace >/dev/null || missing="$missing strace"
command -v mvn >/dev/null || missing="$missing maven"
has_jdk || missing="$missing jdk"
[ -z "$missing" ] && exit 0
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
case "$missing" in
*jdk)
  missing=${missing% jdk}
  for package in openjdk-25-jdk-headless openjdk-21-jdk-headless; do
    if apt-cache show "$package" >/dev/null 2>&1; then
      missing="$missing $package"
      break
    fi
  done
  ;;
esac
# shellcheck disable=SC2086
[ -z "$missing" ] || apt-get install -qq -y --no-install-recommends $missing >/dev/null
