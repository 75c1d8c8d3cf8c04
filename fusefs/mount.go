package fusefs

import (
	"cmp"
	"context"
	"fmt"
	stdlog "log"
	"os"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"instarfs/fusefs/answer"
	"instarfs/fusefs/circle"
	"instarfs/fusefs/inode"
	"instarfs/fusefs/logger"
	"instarfs/fusefs/mountpoint"
	"instarfs/fusefs/names"
	"instarfs/fusefs/report"
)

// Options says what is mounted where.
type Options struct {
	Source Source
	// the directory that Source mirrors: for the overlap check, and what mount(8) shows
	SourceDir        string
	Mountpoint       string
	Render           Render
	Include, Exclude []string // see names.New
	AllowOther       bool     // let other users in, as far as the modes of the images let them
	AllowRoot        bool     // let root in, but nobody else than who mounts
	Override         Override
	OnError          OnError
	Inode32          bool   // inode numbers fit into 32 bits, for programs that hold no larger
	FSName, Subtype  string // what mount(8) shows as source, and as type: empty is the usual
	Debug            bool   // log every request and its reply
	// Reports are files of the directory .instarfs, which no listing shows.
	Reports []report.Report
	Outcome Outcome // may be nil
	// Log takes one line at a time, without its end, as show.Line made it; only a panic of this
	// package has more lines. It may be slow, and is called by one goroutine.
	Log func(line string)
}

// Outcome is told of each attempt to get the map of an image, by its path below the source: there
// is one, or err says why not, and errno is what open(2) says. errno is 0 for what is not shown.
type Outcome func(image string, errno syscall.Errno, err error)

const (
	// maxWrite bounds the size of a READ; the kernel's own bound is max_pages_limit, 1 MiB.
	maxWrite = 1 << 20
	// readAheadKB is how far the kernel reads ahead, KiB. First reads are twice as fast as with the
	// default of 128.
	readAheadKB = 4096
)

// Mount mounts and returns when the mount can be used. Whoever gets a Mounted calls Serve.
func Mount(o Options) (*Mounted, error) {
	shown, err := names.New(o.Include, o.Exclude)
	if err != nil {
		return nil, err
	}
	log := logger.New(o.Log)
	m, err := start(o, shown, log)
	if err != nil {
		log.Close()
		return nil, err
	}
	return m, nil
}

func start(o Options, shown *names.Names, log *logger.Logger) (*Mounted, error) {
	point, err := mountpoint.Check(o.SourceDir, o.Mountpoint, log.Printf)
	if err != nil {
		return nil, err
	}
	if err := mountpoint.CheckFUSE(o.Mountpoint, o.AllowOther || o.AllowRoot); err != nil {
		return nil, err
	}
	root, err := o.Source.Stat(context.Background(), nil, ".")
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", o.SourceDir, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t := newTree(ctx, o, shown, log)
	end := &logger.QuietEnd{To: log}
	options := mountOptions(o, log, end)
	nodes := fs.NewNodeFS(&dir{tree: t, path: "."}, &fs.Options{
		// A mode of 0 stays 0: what the image does not allow, its map does not.
		NullPermissions: true,
		RootStableAttr:  &fs.StableAttr{Ino: inode.Number(".", 0, root.Generation, 0)},
		Logger:          stdlog.New(log, "", 0),
		MountOptions:    options,
	})
	served := fuse.RawFileSystem(&answer.Guard{RawFileSystem: nodes, Ending: ctx, Log: log})
	if o.Inode32 {
		served = inode.NewNarrow(served)
	}
	if o.AllowRoot {
		served = circle.New(served, uint32(os.Geteuid()))
	}
	server, err := serve(point, served, &options)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("mount %s at %s: %s", o.SourceDir, o.Mountpoint,
			mountpoint.Reason(err))
	}
	m := &Mounted{server: server, point: point, log: log, end: end, cancel: cancel,
		open: &t.open, gone: make(chan struct{})}
	go func() {
		server.Wait()
		close(m.gone)
	}()
	if os.Geteuid() == 0 {
		if err := mountpoint.SetReadAhead(point, readAheadKB); err != nil {
			log.Printf("mount at %s: reads will be slower: %v", point, err)
		}
	}
	return m, nil
}

// serve mounts a file system and starts to answer requests.
func serve(point string, raw fuse.RawFileSystem, o *fuse.MountOptions) (*fuse.Server, error) {
	server, err := fuse.NewServer(raw, point, o)
	if err != nil {
		return nil, err
	}
	// Before the first request: it may start a guest, which is a program.
	kept := mountpoint.KeepFromPrograms()
	go server.Serve()
	if err := server.WaitMount(); err != nil {
		return nil, err
	}
	if kept != nil {
		_ = server.Unmount()
		return nil, kept
	}
	return server, nil
}

func mountOptions(o Options, log *logger.Logger, end *logger.QuietEnd) fuse.MountOptions {
	// Without default_permissions: the kernel would go by modes, which say less than access control
	// lists, and nothing of the files under an image. Nodes ask the source.
	options := []string{"ro", "nosuid", "nodev", "noexec"}
	if o.Override.Used() {
		options = append(options, "default_permissions") // modes are all there is then
	}
	return fuse.MountOptions{
		AllowOther: o.AllowOther || o.AllowRoot,
		Options:    options,
		FsName:     cmp.Or(o.FSName, o.SourceDir),
		Name:       cmp.Or(o.Subtype, strings.TrimPrefix(mountpoint.FSType, "fuse.")),
		MaxWrite:   maxWrite,
		// Splicing never paid, and with requests of 1 MiB every READ would log that its pipe is too
		// small.
		DisableSplice: true,
		DisableXAttrs: true,
		// Its replies are made where the numbers cannot be narrowed.
		DisableReadDirPlus: o.Inode32,
		// root needs no helper; without CAP_SYS_ADMIN the helper is tried all the same.
		DirectMount: os.Geteuid() == 0,
		Logger:      stdlog.New(end, "", 0),
		Debug:       o.Debug,
		PanicHandler: func(p any) fuse.Status {
			log.Panicked("answering a request", p)
			return fuse.EIO
		},
	}
}
