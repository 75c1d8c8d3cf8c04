package fusefs

import (
	"strings"
	"testing"

	"instarfs/fusefs/view"
)

// Odd names: too long for a suffix, with newlines, views of views, directories that look like
// views.
func TestOddNames(t *testing.T) {
	src := newFakeSource(t, 0)
	longest := strings.Repeat("x", view.NameMax-len(view.JSON.String())-len(".img")) + ".img"
	src.put(t, longest, "l", 10)
	src.put(t, "y"+longest, "l", 10)
	src.put(t, "new\nline %s.img", "n", 20)
	src.put(t, "disk.img", "d", 30)
	src.put(t, "disk.img.map.json/in.img", "i", 40)
	src.put(t, "dir.map.txt/in.img", "i", 40)
	src.put(t, "real.map.json", "r", 50)
	src.put(t, "hidden/in.img", "h", 60)
	m := mountFake(t, src, func(o *Options) { o.Exclude = []string{"hidden"} })
	for range 2 {
		got := m.names(".")
		for _, want := range []string{longest + ".map.json", "new\nline %s.img.map.json",
			"disk.img.map.json", "dir.map.txt"} {
			if strings.Count("\n"+got+"\n", "\n"+want+"\n") != 1 {
				t.Errorf("%q is not listed once in %q", want, got)
			}
		}
		for _, bad := range []string{"y" + longest, "real", "hidden"} {
			if strings.Contains(got, bad) {
				t.Errorf("%q is listed", bad)
			}
		}
	}
	m.waitLogged("y" + longest + " is not shown")
	if n := m.logged("is not shown"); n != 1 {
		t.Errorf("said %d times", n)
	}
	for name, want := range map[string]string{
		"new\nline %s.img.map.json":   string(fakeContent("n", 20, view.JSON)),
		"disk.img.map.json":           string(fakeContent("d", 30, view.JSON)),
		"dir.map.txt/in.img.map.json": string(fakeContent("i", 40, view.JSON)),
		"real.map.json.map.txt":       string(fakeContent("r", 50, view.Text)),
		"hidden/in.img.map.json":      string(fakeContent("h", 60, view.JSON)),
		longest + ".map.txt":          string(fakeContent("l", 10, view.Text)),
	} {
		if got := m.read(name); got != want {
			t.Errorf("%q holds %q", name, got)
		}
	}
	want := ".\n..\n" + viewsOf("in.img") + "\n"
	if got := command(t, "ls", "-a", m.path("dir.map.txt")); got != want {
		t.Errorf("ls -a: %q", got)
	}
}
