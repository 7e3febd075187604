package pgtest

import (
	"fmt"
	"os"
	"syscall"
	"testing"
)

// Small makes an empty database whose tables have a disk of so many megabytes to
// themselves, and returns its URL and what gives them more. A test is skipped
// where no file system can be mounted.
func Small(t testing.TB, megabytes int) (dsn string, grow func(megabytes int)) {
	t.Helper()
	cluster, err := shared()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	disk, err := os.MkdirTemp("", "pg")
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	mount := func(flags uintptr, megabytes int) error {
		return syscall.Mount("tmpfs", disk, "tmpfs", flags, fmt.Sprintf("size=%dm,mode=0777", megabytes))
	}
	if err := mount(0, megabytes); err != nil {
		_ = os.Remove(disk)
		t.Skip("no file system of limited size can be mounted here: ", err)
	}
	name := fmt.Sprintf("small%d", databases.Add(1))
	t.Cleanup(func() {
		_ = cluster.exec(t.Context(), "DROP TABLESPACE IF EXISTS "+name)
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Errorf("pgtest: unmount: %v", err)
		}
		_ = os.Remove(disk)
	})
	// The server must own the directory of a tablespace.
	place := disk + "/data"
	if err := os.Mkdir(place, 0o700); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	if c := cluster.credential; c != nil {
		if err := os.Chown(place, int(c.Uid), int(c.Gid)); err != nil {
			t.Fatalf("pgtest: %v", err)
		}
	}
	if err := cluster.exec(t.Context(), fmt.Sprintf("CREATE TABLESPACE %s LOCATION '%s'", name, place)); err != nil {
		t.Fatalf("pgtest: create tablespace: %v", err)
	}
	return cluster.create(t, " TABLESPACE "+name), func(megabytes int) {
		if err := mount(syscall.MS_REMOUNT, megabytes); err != nil {
			t.Fatalf("pgtest: more disk: %v", err)
		}
	}
}
