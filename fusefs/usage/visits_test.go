package usage

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestVisits: what is done ahead goes on as long as there are requests, and a moment longer.
func TestVisits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var v Visits
		first := v.Begin()
		ctx, done := v.During(t.Context())
		time.Sleep(time.Hour)
		second := v.Begin()
		first()
		time.Sleep(time.Hour)
		second()
		time.Sleep(visitLinger - time.Nanosecond)
		third := v.Begin()
		time.Sleep(time.Hour)
		if ctx.Err() != nil {
			t.Error("ended while there were requests")
		}
		third()
		time.Sleep(visitLinger - time.Nanosecond)
		synctest.Wait()
		if ctx.Err() != nil {
			t.Error("ended too early")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if ctx.Err() == nil {
			t.Error("goes on although nobody asks")
		}
		done()
		// One that begins after the request was answered ends, too.
		ctx, done = v.During(t.Context())
		time.Sleep(visitLinger)
		synctest.Wait()
		if ctx.Err() == nil {
			t.Error("goes on although nobody asks")
		}
		done()
		v.Begin()()
		time.Sleep(time.Hour)
	})
}
