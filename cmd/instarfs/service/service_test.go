package service

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// manager listens as a service manager does. next returns what it is told next.
func manager(t *testing.T) (next func() string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", name)
	return func() string {
		t.Helper()
		b := make([]byte, 4096)
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

func TestNotify(t *testing.T) {
	next := manager(t)
	if err := Ready("mounted"); err != nil {
		t.Error(err)
	}
	Stopping("unmounting")
	for _, want := range []string{"READY=1\nSTATUS=mounted", "STOPPING=1\nSTATUS=unmounting"} {
		if got := next(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	if err := Ready("mounted"); err == nil {
		t.Error("nobody listens, and nobody says so")
	}
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Ready("mounted"); err != nil {
		t.Error(err)
	}
}

// TestWatch: the watchdog hears of a mount as long as it is alive.
func TestWatch(t *testing.T) {
	next := manager(t)
	t.Setenv("WATCHDOG_PID", "")
	t.Setenv("WATCHDOG_USEC", "20000")
	ctx, cancel := context.WithCancel(t.Context())
	var asked atomic.Int32
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Watch(ctx, func() error {
			if asked.Add(1) > 3 {
				return errors.New("dead")
			}
			return nil
		})
	}()
	for range 3 {
		if got := next(); got != "WATCHDOG=1" {
			t.Errorf("%q", got)
		}
	}
	for asked.Load() < 6 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-ended
	Stopping("") // the next thing that is heard
	if got := next(); !strings.HasPrefix(got, "STOPPING=1") {
		t.Errorf("a dead mount says %q", got)
	}
	t.Setenv("WATCHDOG_USEC", "")
	Watch(t.Context(), func() error { panic("nobody asks") })
}
