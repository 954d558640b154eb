# shellcheck shell=bash disable=SC2034
# Sourced by the scripts beside it. Each of them runs from anywhere: this changes to the checkout first.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { local code=$1; shift; say "$*"; exit "$code"; }

# SwiftPM writes a package's traits into its commands in the order of a set, which every process draws anew (seen with 6.3.1): about
# every second plan would compile everything again. Programs under test keep their random order, which finds mistakes.
swift() {
  case ${1:-} in
  build | package) SWIFT_DETERMINISTIC_HASHING=1 command swift "$@" ;;
  *) command swift "$@" ;;
  esac
}

# phase NAME COMMAND…: runs the command, remembers how long it took, keeps its exit code. 77 says that this machine cannot run it:
# that is no failure, and is counted.
phases=() skipped=0
phase() {
  local name=$1 from=$SECONDS code=0 result=''; shift
  say "== $name"
  "$@" || code=$?
  case $code in
  0) ;;
  77) code=0 result="  skipped" skipped=$((skipped + 1)) ;;
  *) result="  FAILED ($code)" ;;
  esac
  phases+=("$(printf '%-28s %5d s%s' "$name" $((SECONDS - from)) "$result")")
  return "$code"
}
report_phases() {
  ((${#phases[@]} == 0)) || printf '%s\n' "${phases[@]}" >&2
  ((skipped == 0)) || printf 'skipped: %d of %d\n' "$skipped" "${#phases[@]}" >&2
}

# build_product NAME: builds a product and leaves its path in $product. CONFIG=debug shares .build with the tests.
build_product() {
  local config=${CONFIG:-release} scratch
  case $config in
  debug) scratch=.build ;;
  release) scratch=.build-release ;;
  *) die 2 "CONFIG is debug or release, not '$config'" ;;
  esac
  [ "$config" = debug ] || [ -d "$scratch" ] || say "the first release build takes 10 to 15 minutes on two cores"
  swift build -c "$config" --scratch-path "$scratch" --product "$1" >&2
  product=$root/$scratch/$config/$1
}

# build_penstock: builds the command line and leaves its path in $penstock.
build_penstock() { build_product penstock; penstock=$product; }

# build_lab: the same of the laboratory, in $lab.
build_lab() { build_product PenstockLab; lab=$product; }
