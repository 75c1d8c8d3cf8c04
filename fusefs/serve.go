package fusefs

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"instarfs/fusefs/logger"
	"instarfs/fusefs/mountpoint"
	"instarfs/mountinfo"
)

// lastClose is how long Serve waits for open files after it detached a busy mount.
const lastClose = 10 * time.Second

// Mounted is a mount in use.
type Mounted struct {
	server *fuse.Server
	point  string // without symbolic links
	log    *logger.Logger
	end    *logger.QuietEnd
	cancel context.CancelFunc // ends the runs
	open   *atomic.Int64      // handles
	gone   chan struct{}      // closed when the kernel has let go of the mount
}

// Handles returns how many files are open.
func (m *Mounted) Handles() int64 { return m.open.Load() }

// Serve serves until somebody unmounts, or ctx is done; then it unmounts. A mount that is busy is
// detached, so that it vanishes from the tree at once, and Serve returns after the last close, or
// after ten seconds: what is still open then fails once the process ends, which the log says. The
// error says that the mount could not be ended.
func (m *Mounted) Serve(ctx context.Context) error {
	defer m.log.Close()
	defer m.cancel()
	select {
	case <-m.gone:
		return nil
	case <-ctx.Done():
	}
	m.end.Wanted.Store(true)
	err := m.server.Unmount()
	if err == nil {
		<-m.gone
		return nil
	}
	if _, mounted, _ := mountinfo.At(m.point); mounted {
		if err := m.detach(); err != nil {
			return err
		}
		m.log.Printf("unmount %s: %s; detached it, waiting up to %v for the last close (a second "+
			"signal ends at once)",
			m.point, strings.Join(strings.Fields(err.Error()), " "), lastClose)
	}
	select {
	case <-m.gone:
		m.log.Printf("unmount %s: the last file is closed, the mount is gone", m.point)
		return nil
	case <-time.After(lastClose):
		m.log.Printf("unmount %s: after %v it is still in use, by an open file or as somebody's "+
			"working directory, which fails from now on", m.point, lastClose)
	}
	return nil
}

// Abort detaches the mount without waiting for anybody. The process is expected to end, which fails
// the requests that are under way. It may be called while Serve runs.
func (m *Mounted) Abort() error {
	m.cancel()
	m.end.Wanted.Store(true)
	select {
	case <-m.gone:
		return nil
	default:
	}
	return m.detach()
}

func (m *Mounted) detach() error {
	if err := mountpoint.Detach(m.point); err != nil {
		return fmt.Errorf("unmount %s: %w; do it by hand with: umount -l %s", m.point, err, m.point)
	}
	return nil
}
