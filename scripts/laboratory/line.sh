# shellcheck shell=bash
# Sourced by the layers beside it, after scripts/lib.sh.

# line PATTERN COMMAND…: runs the command. What it prints goes to stderr as it comes, but for the first line that matches, which
# is the layer's one line. A command without such a line has failed.
line() {
  local pattern=$1; shift
  "$@" | awk -v pattern="$pattern" '
    !found && $0 ~ pattern { found = $0; next }
    { print > "/dev/stderr"; fflush() }
    END { if (found == "") { print "no figure"; exit 1 }; print found }'
}
