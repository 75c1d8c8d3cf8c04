# The ten largest parts without data. Neighbours that differ only in how they are empty are one part.
reduce .[] as $e ([];
  if $e.data then . + [null]
  elif length > 0 and .[-1] != null then .[-1].length += $e.length
  else . + [{start: $e.start, length: $e.length}]
  end)
| map(select(. != null)) | sort_by(-.length) | .[:10]
