#!/usr/bin/env python3
"""Writes what a map calls data as a sparse raw disk: data.py MAP IMAGE >disk.raw

IMAGE is the file that the map is of. Extents without an offset (compressed, encrypted) and those of files under the image are
named on standard error and left out.
"""
import json
import os
import sys


def main(map_name, image_name):
    with open(map_name) as f:
        extents = json.load(f)
    out, left_out = sys.stdout.fileno(), 0
    with open(image_name, "rb") as image:
        for e in extents:
            if not e["data"]:
                continue
            if "offset" not in e or e["depth"] != 0:
                print(f"left out: {e}", file=sys.stderr)
                left_out += 1
                continue
            image.seek(e["offset"])
            position, todo = e["start"], e["length"]
            while todo > 0:
                part = image.read(min(todo, 1 << 20))
                if not part:
                    break  # past the end of the image: zeroes
                os.pwrite(out, part, position)
                position += len(part)
                todo -= len(part)
    last = extents[-1]
    os.truncate(out, last["start"] + last["length"])
    return 1 if left_out else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
