// Package service tells a service manager how a mount is: sd_notify(3), and its watchdog. Without
// one, nothing happens.
package service

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Ready says that the mount can be used. status is a line for people, which systemctl shows. An
// error says that there is a service manager, and that it was not reached.
func Ready(status string) error {
	_, err := daemon.SdNotify(false, daemon.SdNotifyReady+"\nSTATUS="+status)
	return err
}

// Stopping says that the mount is ending. status is as above.
func Stopping(status string) {
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping+"\nSTATUS="+status)
}

// Watch tells the watchdog of the service manager, if there is one, that all is well as long as
// alive returns nil. It returns when ctx ends.
func Watch(ctx context.Context, alive func() error) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return
	}
	// As sd_watchdog_enabled(3) recommends.
	for tick := time.NewTicker(interval / 2); ; {
		if alive() == nil {
			_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return
		}
	}
}
