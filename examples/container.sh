#!/bin/sh
# instarfs in containers. It is one static file: any image will do, here one of Debian with the program in it.
set -eu
run="podman run --rm --network=none --volume $PWD/bin/instarfs:/usr/bin/instarfs:ro --volume $PWD/images:/images:ro"
# Without any privilege or device: guests are confined processes.
$run --read-only --cap-drop=all --user 65534 debian:stable-slim instarfs map /images/disk.qcow2
# With KVM: guests are virtual machines.
$run --device /dev/kvm debian:stable-slim instarfs map --isolation kvm /images/disk.qcow2
# A mount inside a container, and for others by shared propagation.
$run --device /dev/fuse --cap-add SYS_ADMIN --volume "$PWD/maps:/maps:rshared" debian:stable-slim \
  instarfs mount --allow-other /images /maps
