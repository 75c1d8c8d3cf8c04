package jail

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/vmm/bug"
	"instarfs/vmm/sealed"
	"instarfs/vmm/session"
)

var pageLen = os.Getpagesize()

// Options of a Pool.
type Options struct {
	Program io.Reader     // the guest program, a static ELF executable
	Host    *session.Host // what the runs share with others; nil makes one without limits
	// Ahead is how many children are kept ready. Zero is one, but only after the first run: a
	// program with a single run starts a single child.
	Ahead int
	// Started is called once, when the first child is ready. Later children are confined by the
	// same measures.
	Started func(Measures)
}

// Pool runs jobs, each in a child of its own that was started ahead. It is safe for concurrent use.
type Pool struct {
	host    *session.Host
	started func(Measures)
	spawner spawner // what each thread begins with
	program int
	work    chan func(*spawner) // to the threads that start children
	ready   *session.Shelf[child]

	mu       sync.Mutex // guards what follows
	level    level      // the first that works
	measures Measures   // of the first child
	known    bool       // level and measures are those of a child that came up
	eager    bool       // children are kept ready
	threads  int        // how many start children
	closed   bool

	first sync.Mutex // locked while the first child is started

	using sync.RWMutex   // read-locked while a child is started, locked while program is closed
	alive sync.WaitGroup // runs, and goroutines that start or end children
}

// NewPool makes a pool. The first child is started by the first run, or by Warm.
func NewPool(o Options) (*Pool, error) {
	if o.Host == nil {
		o.Host = session.NewHost(session.Options{})
	}
	program, err := sealed.Program(o.Program)
	if err != nil {
		return nil, fmt.Errorf("process isolation: %w", err)
	}
	p := &Pool{
		host: o.Host, started: o.Started, eager: o.Ahead > 0, program: program,
		work: make(chan func(*spawner)), ready: session.NewShelf[child](max(o.Ahead, 1)),
		spawner: spawner{
			program: program, root: os.Geteuid() == 0, books: o.Host.Memory,
			cpu: cpuLimit(o.Host.Budget().Time),
		},
	}
	return p, nil
}

// carrier is the name of this one among carriers.
const carrier = "process"

// Carrier names what runs the jobs.
func (p *Pool) Carrier() string { return carrier }

// Ready is how many children wait for a job.
func (p *Pool) Ready() int { return p.ready.Len() }

// onThread calls f on one of the threads that start children. There are as many as were ever
// needed at once, up to one for each processor.
func (p *Pool) onThread(f func(*spawner)) {
	done := make(chan struct{})
	work := func(s *spawner) {
		defer close(done)
		f(s)
	}
	select {
	case p.work <- work:
	default:
		p.mu.Lock()
		if p.threads < runtime.GOMAXPROCS(0) {
			p.threads++
			go p.thread()
		}
		p.mu.Unlock()
		p.work <- work
	}
	<-done
}

// thread starts children, on an own thread. That is never unlocked: its children end when it does,
// which is when they have ended.
func (p *Pool) thread() {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The namespaces of the first thread are those that /proc shows of the process. While this
		// goroutine holds it, another one gets another thread.
		locked := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(locked)
			p.serve()
		}()
		<-locked
		runtime.UnlockOSThread()
		return
	}
	p.serve()
}

// serve is the work of a thread, which the caller has locked.
func (p *Pool) serve() {
	s := p.spawner
	s.share()
	for f := range p.work {
		f(&s)
	}
}

// Warm makes a child ready, unless a run was faster. Runs that begin meanwhile wait for it.
func (p *Pool) Warm(ctx context.Context) error {
	ticket, err := p.host.Enter(ctx)
	if err != nil {
		return err
	}
	defer ticket.Leave()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// With a turn, so that nobody who has one waits for a child that waits for one.
	if !p.ready.PromiseFirst() {
		if p.ready.Closed() {
			return session.ErrClosed
		}
		return nil
	}
	c, err := p.spawn()
	p.ready.Put(c)
	if err != nil {
		return session.NoGuest(ctx, err)
	}
	return nil
}

// Run carries out a job when it is its turn. The error is one of session.Serve, a *bug.Error if the
// image panics, session.ErrNoGuest if no child can be started, or session.ErrClosed.
func (p *Pool) Run(ctx context.Context, job *session.Job) (*session.Layer, error) {
	return p.host.Run(ctx, func(ticket *session.Ticket) (*session.Layer, error) {
		defer ticket.Leave()
		if !p.begin() {
			return nil, session.ErrClosed
		}
		defer p.alive.Done()
		c, err := p.take(ctx)
		if err != nil {
			return nil, session.NoGuest(ctx, err)
		}
		defer p.finish(c)
		p.replenish()
		var layer *session.Layer
		err = bug.Guard(func() (err error) { // the image is read on this goroutine
			layer, err = c.run(ctx, job, ticket)
			return err
		})
		return layer, err
	})
}

// begin counts a run among what is alive. It reports false if the pool was closed.
func (p *Pool) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.alive.Add(1)
	return true
}

// run carries out a job on a child that has had none.
func (c *child) run(ctx context.Context, job *session.Job, ticket *session.Ticket) (
	*session.Layer, error) {
	b := bufferPool.Get().(*buffers)
	defer bufferPool.Put(b)
	c.buf, c.in, c.out = b.in[:], nil, b.out[:0]
	// When the child ends, so does every wait for it.
	defer context.AfterFunc(ctx, c.kill)()
	meter := ticket.Meter(ctx, func() {}) // Next looks at its time every tick
	defer meter.Stop()
	return session.Serve(meter, c, job)
}

// finish ends a child and does not wait for that. More runs may follow, so children are kept ready.
func (p *Pool) finish(c *child) {
	c.kill()
	p.alive.Go(c.close)
	p.mu.Lock()
	p.eager = true
	p.mu.Unlock()
}

// replenish starts children for the next runs until as many are ready, or on their way, as should
// be.
func (p *Pool) replenish() {
	p.mu.Lock()
	eager := p.eager
	p.mu.Unlock()
	for eager && p.ready.Promise() {
		p.alive.Go(func() {
			c, _ := p.spawn() // the next run tries itself if that fails, and says why
			p.ready.Put(c)
		})
	}
}

// take returns a child that had no job yet: one that is ready, or a new one.
func (p *Pool) take(ctx context.Context) (*child, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	c, err := p.ready.Take()
	switch {
	case err != nil:
		return nil, err
	case c != nil && !c.awaitEnd(0):
		return c, nil
	case c != nil:
		c.close() // it ended: when memory runs out the kernel kills children first
	}
	return p.spawn()
}

// spawn starts a child.
func (p *Pool) spawn() (c *child, err error) {
	p.using.RLock()
	defer p.using.RUnlock()
	p.mu.Lock()
	closed := p.closed
	p.mu.Unlock()
	if closed {
		return nil, session.ErrClosed
	}
	p.onThread(func(s *spawner) { c, err = p.spawnBy(s) })
	return c, err
}

// knownLevel returns what confined the first child, once there was one.
func (p *Pool) knownLevel() (l level, m Measures, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.level, p.measures, p.known
}

// spawnBy starts a child. The first one tries the levels in turn; the first level that works is
// kept.
func (p *Pool) spawnBy(s *spawner) (*child, error) {
	l, measures, known := p.knownLevel()
	if !known {
		p.first.Lock()
		defer p.first.Unlock()
		l, measures, known = p.knownLevel()
	}
	if known {
		return s.spawnAlike(l, measures)
	}
	var first error
	for _, report := range []bool{true, false} {
		for l := userNamespace; l < levels; l++ {
			if l == namespaces && !s.root {
				continue
			}
			c, m, err := s.spawn(l, report)
			if err != nil {
				if first == nil || l == bare {
					first = err
				}
				continue
			}
			p.mu.Lock()
			p.level, p.measures, p.known = l, m, true
			p.mu.Unlock()
			m.Refused = first
			if p.started != nil {
				p.started(m)
			}
			return c, nil
		}
	}
	return nil, fmt.Errorf("process isolation: %w", explain(first))
}

// closeTime is how long Close waits for runs and for the ends of children.
const closeTime = time.Second

// Close ends the children that are ready. Runs under way continue to their end. Close waits a
// moment for both, so that a program that exits then leaves no children behind, which nobody may
// wait for. A second Close does nothing.
func (p *Pool) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	p.mu.Unlock()
	p.ready.Close((*child).close)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.alive.Wait()
		p.using.Lock()
		defer p.using.Unlock()
		close(p.work)
	}()
	select {
	case <-ended:
	case <-time.After(closeTime):
	}
	p.using.Lock()
	defer p.using.Unlock()
	return unix.Close(p.program)
}
