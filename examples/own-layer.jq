# What this file holds itself, and not the files under it: how much, and of what kind.
map(select(.depth == 0 and .present))
| {data: (map(select(.data) | .length) | add // 0), zero: (map(select(.zero) | .length) | add // 0),
   extents: length}
