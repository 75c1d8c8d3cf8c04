package fusefs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"instarfs/mountinfo"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Options says what is mounted where.
type Options struct {
	Source     Source
	SourceDir  string // the directory that Source mirrors: for the overlap check, and what mount(8) shows
	Mountpoint string
	Render     Render
	// Include and Exclude are globs (path.Match) that are compared to the name of a file and to its path below the source.
	// Include replaces the list of extensions; Exclude also hides directories and beats Include.
	Include, Exclude []string
	AllowOther       bool // let other users in, as far as the modes of the images let them
	Debug            bool // log every request and its reply
	// Log takes one line at a time, without its end, as show.Line made it; only a panic of this
	// package has more lines. It may be slow, and is called by one goroutine.
	Log func(line string)
}

// fsType is the type of our mounts.
const fsType = "fuse.instarfs"

const (
	// maxWrite bounds the size of a READ; the kernel's own bound is max_pages_limit, 1 MiB.
	maxWrite = 1 << 20
	// readAheadKB is how far the kernel reads ahead, KiB. First reads are twice as fast as with the default of 128.
	readAheadKB = 4096
)

// Mount mounts and returns when the mount can be used. Whoever gets a Mounted calls Serve.
func Mount(o Options) (*Mounted, error) {
	names, err := newNames(o.Include, o.Exclude)
	if err != nil {
		return nil, err
	}
	log := newLogger(o.Log)
	m, err := start(o, names, log)
	if err != nil {
		log.close()
		return nil, err
	}
	return m, nil
}

func start(o Options, names *names, log *logger) (*Mounted, error) {
	point, err := checkMountpoint(o.SourceDir, o.Mountpoint, log)
	if err != nil {
		return nil, err
	}
	if err := checkFUSE(o); err != nil {
		return nil, err
	}
	root, err := o.Source.Stat(context.Background(), nil, ".")
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", o.SourceDir, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t := newTree(ctx, o, names, log)
	options := mountOptions(o, log)
	nodes := fs.NewNodeFS(&dir{tree: t, path: "."}, &fs.Options{
		// A mode of 0 stays 0: what the image does not allow, its map does not.
		NullPermissions: true,
		RootStableAttr:  &fs.StableAttr{Ino: inode(".", 0, root.Generation, 0)},
		Logger:          stdlog.New(log, "", 0),
		MountOptions:    options,
	})
	server, err := serve(point, &guard{RawFileSystem: nodes, ending: ctx, log: log}, &options)
	if err != nil {
		cancel()
		// What fusermount3 has to say ends in a newline.
		return nil, fmt.Errorf("mount %s at %s: %s", o.SourceDir, o.Mountpoint,
			strings.TrimSpace(err.Error()))
	}
	m := &Mounted{server: server, point: point, log: log, cancel: cancel, gone: make(chan struct{})}
	go func() {
		server.Wait()
		close(m.gone)
	}()
	if os.Geteuid() == 0 {
		raiseReadAhead(point, log)
	}
	return m, nil
}

// serve mounts a file system and starts to answer requests.
func serve(point string, raw fuse.RawFileSystem, o *fuse.MountOptions) (*fuse.Server, error) {
	server, err := fuse.NewServer(raw, point, o)
	if err != nil {
		return nil, err
	}
	go server.Serve()
	return server, server.WaitMount()
}

func mountOptions(o Options, log *logger) fuse.MountOptions {
	// Without default_permissions: the kernel would go by modes, which say less than access control lists, and nothing of the
	// files under an image. Nodes ask the source.
	options := []string{"ro", "nosuid", "nodev", "noexec"}
	return fuse.MountOptions{
		AllowOther: o.AllowOther,
		Options:    options,
		FsName:     o.SourceDir,
		Name:       strings.TrimPrefix(fsType, "fuse."),
		MaxWrite:   maxWrite,
		// Splicing never paid, and with requests of 1 MiB every READ would log that its pipe is too small.
		DisableSplice: true,
		DisableXAttrs: true,
		// root needs no helper; without CAP_SYS_ADMIN the helper is tried all the same.
		DirectMount: os.Geteuid() == 0,
		Logger:      stdlog.New(log, "", 0),
		Debug:       o.Debug,
		PanicHandler: func(p any) fuse.Status {
			log.panicked("answering a request", p)
			return fuse.EIO
		},
	}
}

// checkFUSE finds what is known to keep a mount from working, in words that say what to do.
func checkFUSE(o Options) error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if errors.Is(err, syscall.EPERM) {
		return fmt.Errorf("mount at %s: %w; the device is not allowed here: give it to the container (--device /dev/fuse) "+
			"or to the service (DeviceAllow=/dev/fuse rw)", o.Mountpoint, err)
	}
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("mount at %s: %w; mount as root, or let users in with: chmod 666 /dev/fuse", o.Mountpoint, err)
	}
	if err != nil {
		return fmt.Errorf("mount at %s: %w; load the module with: modprobe fuse (a container needs --device /dev/fuse)",
			o.Mountpoint, err)
	}
	f.Close()
	if os.Geteuid() == 0 {
		return nil
	}
	if _, err := fusermount(); err != nil {
		return fmt.Errorf("mount at %s: fusermount3 is not installed, it lets users mount; install the package fuse3", o.Mountpoint)
	}
	if o.AllowOther && !userAllowOther() {
		return fmt.Errorf("mount at %s: other users may be let in by root only; add the line user_allow_other to /etc/fuse.conf",
			o.Mountpoint)
	}
	return nil
}

// fusermount finds the program that mounts and unmounts for users.
func fusermount() (string, error) {
	path, err := exec.LookPath("fusermount3")
	if err == nil {
		return path, nil
	}
	return exec.LookPath("fusermount")
}

// userAllowOther reports whether /etc/fuse.conf lets users pass allow_other, see mount.fuse3(8).
func userAllowOther() bool {
	f, err := os.Open("/etc/fuse.conf")
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.TrimSpace(lines.Text()) == "user_allow_other" {
			return true
		}
	}
	return false
}

// raiseReadAhead sets the read-ahead of the mount. It is a matter of speed only, so failure is no error: /sys is read-only
// in containers.
func raiseReadAhead(point string, log *logger) {
	m, ok, err := mountinfo.At(point)
	if err == nil && ok {
		name := fmt.Sprintf("/sys/class/bdi/%d:%d/read_ahead_kb", unix.Major(m.Device), unix.Minor(m.Device))
		err = os.WriteFile(name, []byte(strconv.Itoa(readAheadKB)), 0)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		log.printf("mount at %s: reads will be slower: %v", point, err)
	}
}
