#!/usr/bin/env python3
"""Prints the parts of a disk whose extents differ between two maps of it: changed.py OLD.map.json NEW.map.json

One JSON object a line; exits as diff does, 0 if there is none and 1 if there are. What a guest overwrote in place has the same
extents as before and is not among them: a map tells where data is, not what it is.
"""
import json
import sys


def pieces(extents, cuts):
    """Cuts extents so that two maps have their borders at the same places."""
    n = 0
    for e in extents:
        end = e["start"] + e["length"]
        at = e["start"]
        while at < end:
            while cuts[n] <= at:
                n += 1
            piece = dict(e, start=at, length=cuts[n] - at)
            if "offset" in e:
                piece["offset"] = e["offset"] + at - e["start"]
            yield piece
            at = cuts[n]


def main(old_name, new_name):
    maps = []
    for name in old_name, new_name:
        with open(name) as f:
            maps.append(json.load(f))
    cuts = sorted({b for m in maps for e in m for b in (e["start"], e["start"] + e["length"])})
    old, new = ({p["start"]: p for p in pieces(m, cuts)} for m in maps)
    changed = None
    found = False
    for start in sorted(old.keys() | new.keys()):
        a, b = old.get(start), new.get(start)
        if a == b:
            continue
        found = True
        length = (a or b)["length"]
        if changed and changed["start"] + changed["length"] == start:
            changed["length"] += length
            continue
        if changed:
            print(json.dumps(changed))
        changed = {"start": start, "length": length}
    if changed:
        print(json.dumps(changed))
    return 1 if found else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
