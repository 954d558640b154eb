# shellcheck shell=bash
# Sourced by the layers beside it, after scripts/lib.sh.

# line PATTERN COMMAND…: runs the command. What it prints goes to stderr as it comes, but for the first line that matches, which
# is the layer's one line. A command without such a line has failed.
line() {
  local pattern=$1; shift
  "$@" | {
    # Not awk: Debian's reads 4 KiB before it looks at a line, and hours of work would seem to stand still.
    local text found=''
    while IFS= read -r text || [ -n "$text" ]; do
      if [ -z "$found" ] && [[ $text =~ $pattern ]]; then found=$text; else printf '%s\n' "$text" >&2; fi
    done
    [ -n "$found" ] || { echo "no figure"; return 1; }
    printf '%s\n' "$found"
  }
}
