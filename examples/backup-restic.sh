#!/bin/sh
# Makes a restic snapshot of all maps of a mount. RESTIC_PASSWORD or RESTIC_PASSWORD_FILE opens the repository. Inode numbers of
# a mount stay the same from day to day, so restic needs no --ignore-inode.
set -eu
mount=$1 repository=$2
cd "$mount"
restic backup --quiet --repo "$repository" --tag maps .
