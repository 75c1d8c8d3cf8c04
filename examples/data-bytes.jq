# Bytes of data in a map.
map(select(.data) | .length) | add // 0
