package main

import (
	"context"
	"fmt"
	"log/slog"

	"golang.org/x/sys/unix"
)

// harden takes the process out of the reach of others before it holds a key.
func harden(ctx context.Context, logger *slog.Logger) error {
	unix.Umask(0o077)
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("RLIMIT_CORE: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("PR_SET_DUMPABLE: %w", err)
	}
	if err := lockMemory(); err != nil {
		logger.WarnContext(ctx, "内存未锁定，请关闭或加密交换分区，或设 LimitMEMLOCK=infinity memory is not locked: have no swap, or an encrypted one, or set LimitMEMLOCK=infinity", "error", err.Error())
	}
	return nil
}

// lockMemory keeps what the process touches out of swap. With a limit it would
// one day be refused memory in the middle of a computation: then rather not.
func lockMemory() error {
	unlimited := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unlimited); err != nil {
		return fmt.Errorf("RLIMIT_MEMLOCK: %w", err)
	}
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		return fmt.Errorf("mlockall: %w", err)
	}
	return nil
}
