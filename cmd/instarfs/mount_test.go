package main

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"instarfs/cmd/instarfs/guests"
	"instarfs/cmd/instarfs/mirror"
	"instarfs/cmd/instarfs/process"
	"instarfs/guest/img"
	"instarfs/vmm/files"
)

func TestMountMistakes(t *testing.T) {
	for line, want := range map[string]string{
		"": "expecting SOURCE and MOUNTPOINT, got 0 (see 'instarfs " +
			"mount --help')",
		"a": "expecting SOURCE and MOUNTPOINT, got 1 (see 'instarfs " +
			"mount --help')",
		"a b c": "expecting SOURCE and MOUNTPOINT, got 3 (see 'instarfs " +
			"mount --help')",
		"--bogus a b": "unknown flag: --bogus (see 'instarfs mount --help')",
		"--qemu-version 4.2 a b": "--qemu-version '4.2': qemu-img 4.2 is not reproduced, " +
			"only 5.1 and newer are (see 'instarfs mount --help')",
		"--references some a b": "--references 'some': must be beneath, none or any (see " +
			"'instarfs mount --help')",
		"--max-depth 0 a b": "--max-depth '0': must be a number from 1 to 65535 (see " +
			"'instarfs mount --help')",
		"-o max_depth=70000 a b": "-o max_depth=70000: must be a number from 1 to 65535 " +
			"(see 'instarfs mount --help')",
		"--include [ a b": "--include '[': not a glob: a [ needs its ], and a \\ " +
			"needs a character after it (see 'instarfs mount --help')",
		"-o include=[a- a b": "-o include=[a-: not a glob: a [ needs its ], and a \\ " +
			"needs a character after it (see 'instarfs mount --help')",
		"--exclude x --exclude a\\ a b": "--exclude 'a\\': not a glob: a [ needs its ], and a \\ " +
			"needs a character after it (see 'instarfs mount --help')",
		"-o exclude=[ a b": "-o exclude=[: not a glob: a [ needs its ], and a \\ needs " +
			"a character after it (see 'instarfs mount --help')",
		"-o rw a b": "-o rw: a mount of instarfs is read-only; leave it out (see 'instarfs mount " +
			"--help')",
		"--uid -1 a b": "--uid '-1': must be a number from 0 to 4294967294 (see 'instarfs mount " +
			"--help')",
		"-o fmask=9 a b": "-o fmask=9: must be an octal number from 0 to 777 (see 'instarfs " +
			"mount --help')",
		"-o fsname= a b": "-o fsname=: must not be empty (see 'instarfs mount --help')",
		"-o bogus a b":   "-o bogus: unknown mount option (see 'instarfs mount --help')",
		"-o option=ro a b": "-o option=ro: unknown mount option (see 'instarfs mount " +
			"--help')",
		"-o help a b": "-o help: unknown mount option (see 'instarfs mount --help')",
		"-o ro=1 a b": "-o ro=1: unknown mount option (see 'instarfs mount --help')",
		"-o ro,cache_bytes a b": "-o cache_bytes: a value is missing (see 'instarfs mount " +
			"--help')",
		"-o allow_other=1 a b": "-o allow_other=1: takes no value (see 'instarfs mount " +
			"--help')",
		"-o cache_bytes=lots a b": "-o cache_bytes=lots: not a number of bytes: use digits, " +
			"0x and hexadecimal digits, or a decimal number with a suffix of k, M, G, T, P or E " +
			"(see 'instarfs mount --help')",
		"-o qemu_version=1.7 a b": "-o qemu_version=1.7: qemu-img 1.7 is not reproduced, only " +
			"5.1 and newer are (see 'instarfs mount --help')",
		"--cache-bytes 1e3 a b": "--cache-bytes '1e3': not a number of bytes: use digits, " +
			"0x and hexadecimal digits, or a decimal number with a suffix of k, M, G, T, P or E " +
			"(see 'instarfs mount --help')",
		"--allow-other=perhaps a b ": "--allow-other 'perhaps': must be true or false (see " +
			"'instarfs mount --help')",
		"--memory 63M a b": "--memory '63M': must be at least 67108864 (see 'instarfs mount " +
			"--help')",
		"-o map_time=0 a b": "-o map_time=0: not a time: use a number of seconds, or numbers " +
			"with h, m, s or ms, more than 0 (see 'instarfs mount --help')",
	} {
		tool := newTool()
		expectRun(t, tool, append([]string{"mount"}, strings.Fields(line)...), 2, "",
			"instarfs: mount: "+want+"\n")
		if tool.mount.asked.Source != "" {
			t.Errorf("%s: something was mounted", line)
		}
	}
}

func TestMountFailures(t *testing.T) {
	tool := newTool()
	tool.mount.err = errors.New("unmount /mnt: files are still open")
	expectRun(t, tool, []string{"mount", "/images", "/mnt"}, 1, "",
		"instarfs: mounted /images at /mnt; stop with Ctrl-C or: fusermount3 -u /mnt\n"+
			`instarfs: served \x1b`+"\ninstarfs: unmount /mnt: files are still open\n")
	tool.newMount = func(mountOptions) (mounted, error) {
		return nil,
			errors.New("mount /images at /mnt: no /dev/fuse")
	}
	expectRun(t, tool, []string{"mount", "/images", "/mnt"}, 1, "",
		"instarfs: mount /images at /mnt: no /dev/fuse\n")
}

// A signal is how a mount ends, not a failure of it.
func TestMountEndsBySignal(t *testing.T) {
	tool := newTool()
	tool.mount.wait = true
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(process.SignalError{Signal: syscall.SIGINT})
	if code := run(ctx, []string{"mount", "/images", "/mnt"}, &tool.env); code != 0 {
		t.Errorf("exit %d: %s", code, tool.stderr.String())
	}
	if tool.last != nil {
		t.Error("a mount that is over would be detached")
	}
}

func TestMountOptions(t *testing.T) {
	all := mountOptions{
		Options: mirror.Options{Source: "/images", Mountpoint: "/mnt", AllowOther: true,
			CacheBytes: 3 << 29,
			Include:    []string{"*.bin", "a,b"}, Exclude: []string{"old", "tmp*"}, Debug: true},
		sharedOptions: sharedOptions{
			Release: img.NewRelease(8, 2),
			Access: accessOptions{References: files.None, AllowDirs: []string{"/a,b", "c"},
				MaxDepth:   3,
				ForceShare: true, OwnRights: true},
			Limits: guests.Limits{
				Guest: 2 * time.Minute, Call: 5 * time.Second, Source: 3 * time.Second,
				Compose: time.Hour, Map: 90 * time.Second, Memory: 1 << 30,
			},
		}}
	plain := mountOptions{Options: mirror.Options{Source: "/images", Mountpoint: "/mnt",
		CacheBytes: defaultCacheBytes}}
	split := all
	split.Access.AllowDirs = []string{"a", "c"}
	for _, tc := range []struct {
		args []string
		want mountOptions
	}{
		{[]string{"/images", "/mnt"}, plain},
		{[]string{"/images", "/mnt", "-o",
			"ro,dev,suid,noauto,nofail,_netdev,x-systemd.automount,x-y=z,comment=hello,defaults,,"},
			plain},
		{[]string{"--allow-other", "--cache-bytes=1.5G", "/images", "--qemu-version", "8.2.1",
			"--include=*.bin", "--include", "a,b",
			"/mnt", "--exclude", "old", "--exclude=tmp*", "-U", "--debug",
			"--references", "none", "--reference-rights=mount", "--allow-dir", "/a,b",
			"--allow-dir=c", "--max-depth", "3",
			"--memory", "1G", "--guest-time=2m", "--call-time=5s", "--source-time", "3",
			"--compose-time=1h", "--map-time=90"}, all},
		{[]string{"/images", "/mnt", "--include", "*.bin", "--include", "a,b", "-o",
			"allow_other,cache_bytes=1.5g,qemu_version=8.2",
			"-o", "force_share,exclude=old,exclude=tmp*,debug", "-o",
			"references=none,reference_rights=mount,allow_dir=a,allow_dir=c,max_depth=3",
			"-o", "memory=1G,guest_time=120,call_time=5,source_time=3s",
			"-o", "compose_time=60m,map_time=1m30s"}, split},
	} {
		tool := newTool()
		if code := tool.run(append([]string{"mount"}, tc.args...)...); code != 0 {
			t.Errorf("%q: exit %d: %s", tc.args, code, tool.stderr.String())
		}
		tool.mount.asked.Log, tool.mount.asked.Note = nil, nil
		tool.mount.asked.Version, tool.mount.asked.Given = "", nil
		if !reflect.DeepEqual(tool.mount.asked, tc.want) {
			t.Errorf("%q: %+v, want %+v", tc.args, tool.mount.asked, tc.want)
		}
	}
}
