#!/bin/sh
# A service that serves the maps of /srv/images at /srv/maps. Needs make install, or the Debian package.
set -eu
mkdir -p /etc/instarfs /srv/maps
cat >/etc/instarfs/images.conf <<'EOF'
SOURCE=/srv/images
MOUNTPOINT=/srv/maps
OPTIONS=--allow-other --on-error=report
EOF
systemctl enable --now instarfs@images.service
systemctl status --no-pager instarfs@images.service
