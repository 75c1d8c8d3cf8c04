package logs

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
)

func all(l *slog.Logger) {
	l.Debug("d")
	l.Info("mounted")
	l.Warn("no map\x1b")
	l.Error("panic\ngoroutine 1")
}

func TestLines(t *testing.T) {
	for _, test := range []struct {
		options Options
		journal bool
		want    string
	}{
		{Options{}, false, "instarfs: mounted\ninstarfs: no map\\x1b\n" +
			"instarfs: panic\ngoroutine 1\n"},
		{Options{Level: slog.LevelError}, false, "instarfs: panic\ngoroutine 1\n"},
		{Options{Level: slog.LevelDebug}, true, "<7>instarfs: d\n<6>instarfs: mounted\n" +
			"<4>instarfs: no map\\x1b\n<3>instarfs: panic\n<3>goroutine 1\n"},
	} {
		var b strings.Builder
		all(New(NewOutput(&b, test.journal), test.options))
		if b.String() != test.want {
			t.Errorf("%+v: %q, want %q", test.options, b.String(), test.want)
		}
	}
}

func TestJSON(t *testing.T) {
	var b strings.Builder
	all(New(NewOutput(&b, true), Options{JSON: true, Level: slog.LevelWarn}))
	var got []string
	for d := json.NewDecoder(strings.NewReader(b.String())); d.More(); {
		var line struct{ Time, Level, Msg string }
		if err := d.Decode(&line); err != nil || line.Time == "" {
			t.Fatal(err, b.String())
		}
		got = append(got, line.Level+" "+line.Msg)
	}
	if s := strings.Join(got, "|"); s != "WARN no map\x1b|ERROR panic\ngoroutine 1" {
		t.Errorf("%q", s)
	}
	if strings.Contains(b.String(), "\x1b") {
		t.Error("a control character leaves")
	}
}

func TestOutput(t *testing.T) {
	var first, second strings.Builder
	out := NewOutput(&first, false)
	log := New(out, Options{})
	log.Info("one")
	out.Set(&second, false)
	log.Info("two")
	if first.String() != "instarfs: one\n" || second.String() != "instarfs: two\n" {
		t.Errorf("%q, %q", first.String(), second.String())
	}
}
