package fusefs

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"instarfs/fusefs/view"
)

// What a source makes of errors never ends a kind of request for the whole mount, never reads as an
// empty file, and never leaves anybody waiting.
func TestErrorsOfTheSourceStayErrors(t *testing.T) {
	src := newFakeSource(t, 0)
	src.put(t, "good.img", "g", 1000)
	src.put(t, "bad.img", "b", 1000)
	src.put(t, "d/x.img", "x", 1000)
	m := mountFake(t, src, nil)
	for _, e := range []syscall.Errno{
		syscall.ENOSYS, syscall.EAGAIN, syscall.EINTR, syscall.ESTALE, syscall.ENOTCONN,
		syscall.ECONNABORTED,
		511, 512, 516, 530, 4095,
	} {
		want := "Input/output error"
		src.break_("bad.img", e)
		if out, err := tryCommand(t, "timeout", "60", "cat",
			m.path("bad.img.map.json")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("run fails with %d: cat says %v, %d bytes", e, err, len(out))
		}
		src.hide("bad.img", e)
		src.hide("bad.img.map.txt", e)
		dir := fmt.Sprintf("dir%d", e) // which the kernel knows nothing of yet
		src.hide(dir, e)
		for _, file := range []string{"bad.img.map.txt", dir} {
			out, err := tryCommand(t, "timeout", "60", "stat", m.path(file))
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("stat fails with %d: stat says %v, %q", e, err, out)
			}
		}
		src.hide("bad.img", nil)
		src.hide("bad.img.map.txt", nil)
		if got := m.read("good.img.map.json"); got != string(fakeContent("g", 1000, view.JSON)) {
			t.Errorf("after %d: %q", e, got)
		}
		if got := m.names("d"); got != viewsOf("x.img") {
			t.Errorf("after %d: listing %q", e, got)
		}
	}
	m.waitLogged("LOOKUP dir38: function not implemented; the caller is told: input/output error")
}
