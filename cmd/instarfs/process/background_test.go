package process

import (
	"log/syslog"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// TestSystemLog: lines go to the log of the system one by one, with their priorities.
func TestSystemLog(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "log")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w, err := syslog.Dial("unixgram", socket, syslog.LOG_DAEMON|syslog.LOG_INFO, "instarfs")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	lines := "<3>instarfs: panic\n<3>goroutine 1\n<4>instarfs: no map\n" +
		"instarfs: mounted\n<7>x\n{}\n"
	if n, err := (systemLog{w}).Write([]byte(lines)); n != len(lines) || err != nil {
		t.Error(n, err)
	}
	for _, want := range []struct { // 24 is LOG_DAEMON
		priority string
		text     string
	}{{"<27>", "panic"}, {"<27>", "goroutine 1"}, {"<28>", "no map"}, {"<30>", "mounted"},
		{"<31>", "x"}, {"<30>", "{}"}} {
		b := make([]byte, 1024)
		n, err := l.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.TrimSuffix(string(b[:n]), "\n")
		if !strings.HasPrefix(got, want.priority) || !strings.HasSuffix(got, "]: "+want.text) {
			t.Errorf("%q, want %s and %q", got, want.priority, want.text)
		}
	}
}
