package turns

import (
	"context"
	"sync/atomic"
	"time"
)

// Account is what one map has used of the processors. All work that is done for it counts.
type Account struct {
	owner uint64
	nanos atomic.Int64 // processor time of turns that ended
}

func (a *Account) used() time.Duration { return time.Duration(a.nanos.Load()) }

type accountKey struct{}

// With returns a context whose work is on a new account of that owner: a number for whoever is to
// get no more than others, such as a hash of a user and of whom the image belongs to.
func With(ctx context.Context, owner uint64) context.Context {
	return context.WithValue(ctx, accountKey{}, &Account{owner: owner})
}

// accountOf is the account of ctx, or a new one of owner 0.
func accountOf(ctx context.Context) *Account {
	if a, ok := ctx.Value(accountKey{}).(*Account); ok {
		return a
	}
	return &Account{}
}
