#!/bin/sh
# Makes a borg archive of all maps of a mount. Mount with --on-error=report, so that a damaged image does not fail the backup and
# its reason is in the archive.
set -eu
mount=$1 repository=$2
cd "$mount"
borg create "$repository::maps-{now:%Y-%m-%dT%H:%M:%S.%f}" .
