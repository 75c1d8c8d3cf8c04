package devices

import "testing"

func TestOpen(t *testing.T) {
	if err := open("/nowhere/fuse", "load it", "join it"); err == nil ||
		err.Error() != "/nowhere/fuse does not exist: load it" {
		t.Error(err)
	}
	if err := open(t.TempDir(), "", ""); err == nil {
		t.Error("a directory is a device")
	}
	if err := open("/dev/null", "", ""); err != nil {
		t.Error(err)
	}
}
