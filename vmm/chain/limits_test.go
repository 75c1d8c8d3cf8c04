package chain

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/vmm/failure"
	"instarfs/vmm/image"
	"instarfs/vmm/ledger"
	"instarfs/vmm/session"
)

// late checks that an error says which limit was met and which option raises it.
func late(t *testing.T, err error, option string) {
	t.Helper()
	e, ok := failure.New("x", err).(*failure.Error)
	if !ok || !errors.Is(err, failure.ErrSlow) || e.Errno() != unix.ETIMEDOUT {
		t.Errorf("%v is not ETIMEDOUT", err)
	}
	oneLine(t, e, "map x: ", " ("+option+" allows more)")
}

// TestReadingHasALimit: the time of all reads for a map counts, and nothing else does.
func TestReadingHasALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Limits{Source: 10 * time.Second, Map: time.Hour}.complete()
		ctx, cancel := l.begin(t.Context())
		defer cancel()
		read := func(ctx context.Context) error {
			select {
			case <-time.After(4 * time.Second):
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		for range 2 {
			if err := reading(ctx, read); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Minute)
		}
		begun := time.Now()
		late(t, reading(ctx, read), "--source-time")
		if took := time.Since(begun); took != 2*time.Second {
			t.Error("ended after", took)
		}
		late(t, reading(ctx, read), "--source-time")
	})
}

// TestComposingIsLimited: putting a map together ends with the error of its limit.
func TestComposingIsLimited(t *testing.T) {
	r := &fakeRunner{T: t, During: func(int32, *session.Job) (*session.Layer, error) {
		return layerOf(t, ext(0, 1<<20, bare, 0)), nil
	}}
	name := filepath.Join(t.TempDir(), "disk")
	write(t, name, "disk")
	e := NewEngine(r, Access{}, Limits{Compose: 1})
	_, err := e.MapFile(t.Context(), name, whole)
	var named *failure.Error
	if !errors.As(err, &named) {
		t.Fatal(err)
	}
	late(t, named.Err, "--compose-time")
}

// stuck is a runner whose runs end with their context only.
type stuck struct{}

func (stuck) Run(ctx context.Context, _ *session.Job) (*session.Layer, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// TestMapHasALimit: whatever takes so long, a map ends.
func TestMapHasALimit(t *testing.T) {
	name := filepath.Join(t.TempDir(), "disk")
	write(t, name, "disk")
	e := NewEngine(stuck{}, Access{}, Limits{Map: 50 * time.Millisecond})
	_, err := e.MapFile(t.Context(), name, whole)
	oneLine(t, err, "--map-time")
	late(t, err.(*failure.Error).Err, "--map-time")
}

// TestMemoryHasALimit: a map that does not fit is ENOMEM, says what to do, and is tried again.
func TestMemoryHasALimit(t *testing.T) {
	r := &fakeRunner{T: t, During: func(int32, *session.Job) (*session.Layer, error) {
		return layerOf(t, ext(0, 1<<50, bare, 0)), nil
	}}
	books := ledger.New(1 << 20)
	dir := t.TempDir()
	name := filepath.Join(dir, "disk")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := range int64(8192) {
		if _, err := f.WriteAt([]byte{1}, i*8192); err != nil {
			t.Fatal(err)
		}
	}
	e := NewEngine(r, Access{}, Limits{Cache: 1 << 20, Memory: ledger.New(64 << 10)})
	for range 2 {
		_, err = e.MapFile(t.Context(), name, whole)
		oneLine(t, err, "--memory")
		var typed *failure.Error
		if !errors.As(err, &typed) || typed.Errno() != unix.ENOMEM {
			t.Errorf("%v", err)
		}
	}
	r.Count(2)
	// What is kept is given back to those who need it.
	e = NewEngine(r, Access{}, Limits{Cache: 1 << 30, Memory: books})
	for i := range 8 {
		if err := os.Chtimes(name, time.Time{}, time.Unix(int64(1000+i), 0)); err != nil {
			t.Fatal(err)
		}
		if _, err := e.MapFile(t.Context(), name, whole); err != nil {
			t.Fatal(i, err)
		}
	}
	if kept := e.maps.Len(); kept < 1 || kept > 3 {
		t.Errorf("%d maps are kept in 1 MiB", kept)
	}
}

// TestLasting: what is kept of a failure, and for how long.
func TestLasting(t *testing.T) {
	const no, minute, ever = 0, 1, 2
	kinds := map[session.Kind]int{session.KindCarrier: no, session.KindKilled: no}
	for k := session.KindFault; k <= session.KindKilled; k++ {
		want, ok := kinds[k]
		if !ok {
			want = minute
		}
		checkLasting(t, &session.GuestError{Kind: k}, want == minute, want == ever)
	}
	checkLasting(t, fault.New(fault.Qcow2L2Unaligned, 0), false, true)
	checkLasting(t, &failure.Reference{Err: fault.New(fault.Qcow2L2Unaligned, 0)}, false, true)
	checkLasting(t, failure.Limit{}, true, false)
	checkLasting(t, extent.ErrTooMany, true, false)
	for _, err := range []error{
		unix.EIO, context.Canceled, context.DeadlineExceeded, ledger.ErrFull,
		&image.LockError{}, failure.ErrChanging,
		image.ErrClosed,
	} {
		checkLasting(t, err, false, false)
	}
}

func checkLasting(t *testing.T, err error, minute, ever bool) {
	t.Helper()
	f := lasting(err)
	if (f != nil) != (minute || ever) {
		t.Errorf("%v: %+v", err, f)
		return
	}
	if f != nil && (f.until.IsZero() != ever || f.over()) {
		t.Errorf("%v: until %v", err, f.until)
	}
}

// TestFailuresOfAnother: that a map had used up its time on other files says nothing of the one at
// which it ended.
func TestFailuresOfAnother(t *testing.T) {
	l := Limits{}.complete()
	if !l.newSpent().little() {
		t.Error("nothing is much")
	}
	for _, used := range []struct{ source, compose time.Duration }{{l.Source, 0}, {0, l.Compose}} {
		s := l.newSpent()
		s.source.Use(used.source)
		s.compose.Use(used.compose)
		if s.little() {
			t.Errorf("%+v is little", used)
		}
	}
	for _, hadAll := range []bool{false, true} {
		v, cost, err := keepFailure(failure.Limit{}, hadAll)
		if (v.failed != nil) != hadAll || (err == nil) != hadAll || (cost > 0) != hadAll {
			t.Errorf("%v: %+v, %d, %v", hadAll, v, cost, err)
		}
		if v, _, err := keepFailure(fault.New(fault.Qcow2Magic, 0), hadAll); v.failed == nil ||
			err != nil {
			t.Errorf("%v: damage: %+v, %v", hadAll, v, err)
		}
	}
}

// TestFailuresAreKept: a broken image is mapped once, until it changes; one that took too long
// until a while has passed.
func TestFailuresAreKept(t *testing.T) {
	_, damage := badLayer(t)
	budget := &session.GuestError{Kind: session.KindReads}
	for _, want := range []error{damage, budget} {
		e, r, name := newEngine(t,
			func(int32, *session.Job) (*session.Layer, error) { return nil, want })
		try := func(runs int32) {
			t.Helper()
			if _, err := e.MapFile(t.Context(), name, whole); !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
			r.Count(runs)
		}
		try(1)
		try(1)
		write(t, name, "another")
		try(2)
		try(2)
		var st unix.Stat_t
		if err := unix.Stat(name, &st); err != nil {
			t.Fatal(err)
		}
		o := whole
		v, ok := e.maps.Peek(key{generation: o.generation(image.IdentityOf(&st), name)})
		if !ok || v.failed == nil {
			t.Fatal("not kept")
		}
		v.failed.until = time.Now().Add(-time.Second)
		try(3)
	}
	e, r, name := newEngine(t,
		func(int32, *session.Job) (*session.Layer, error) { return nil, unix.EIO })
	for n := range int32(2) {
		if _, err := e.MapFile(t.Context(), name, whole); !errors.Is(err, unix.EIO) {
			t.Error(err)
		}
		r.Count(n + 1)
	}
}

// TestCostOfAnEntry: what the cache counts for small maps is what they take.
func TestCostOfAnEntry(t *testing.T) {
	const n = 2000
	_, r, name := newEngine(t, func(int32, *session.Job) (*session.Layer, error) {
		return layerOf(t, ext(0, 512, present|zero, 0), ext(512, 512, stored, 0),
			ext(1024, 512, present|zero, 0)), nil
	})
	e := NewEngine(r, Access{}, Limits{Cache: math.MaxInt64})
	// All files first: one that was written a moment ago is waited for.
	for i := range n {
		write(t, name+strconv.Itoa(i), "image")
	}
	before := heap()
	for i := range n {
		name := name + strconv.Itoa(i)
		res, err := e.MapFile(t.Context(), name, whole)
		if err != nil {
			t.Fatal(err)
		}
		// What package render keeps of both views.
		for _, view := range []int{1, 2} {
			res.Map.Memo(view, func() any { return bytes.Repeat([]byte{1}, 800) })
		}
	}
	took, counted := int64(heap()-before), e.CacheBytes()
	if e.maps.Len() != n || took > counted || took < counted/8 {
		t.Errorf("%d entries take %d bytes each, %d are counted", e.maps.Len(), took/n, counted/n)
	}
}

// heap is the bytes that are reachable.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
