#!/bin/sh
# Keeps a copy of all maps of a mount: only those that changed are read.
set -eu
mount=$1 directory=$2
rsync --archive --delete "$mount/" "$directory/"
