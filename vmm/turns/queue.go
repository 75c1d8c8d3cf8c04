package turns

import "slices"

// queue holds waiting turns. Owners are served in a circle, the turns of one owner in the order in
// which they came.
type queue struct {
	owners []uint64 // that have turns waiting, the next one first
	turns  map[uint64][]*Turn
}

func (q *queue) push(t *Turn) {
	owner := t.account.owner
	if q.turns == nil {
		q.turns = map[uint64][]*Turn{}
	}
	if len(q.turns[owner]) == 0 {
		q.owners = append(q.owners, owner)
	}
	q.turns[owner] = append(q.turns[owner], t)
}

// pop takes out the turn that is next, nil if there is none.
func (q *queue) pop() *Turn {
	if len(q.owners) == 0 {
		return nil
	}
	owner := q.owners[0]
	t := q.turns[owner][0]
	q.owners = q.owners[1:]
	q.turns[owner] = q.turns[owner][1:]
	if len(q.turns[owner]) > 0 {
		q.owners = append(q.owners, owner)
	} else {
		delete(q.turns, owner)
	}
	return t
}

// remove takes out t if it is there.
func (q *queue) remove(t *Turn) {
	owner := t.account.owner
	i := slices.Index(q.turns[owner], t)
	if i < 0 {
		return
	}
	q.turns[owner] = slices.Delete(q.turns[owner], i, i+1)
	if len(q.turns[owner]) == 0 {
		delete(q.turns, owner)
		q.owners = slices.DeleteFunc(q.owners, func(o uint64) bool { return o == owner })
	}
}
