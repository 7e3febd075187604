package collective

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// inMemory gives content a path without writing it anywhere: a list holds
// personal data. The file ends with closing it.
func inMemory(content []byte) (path string, file *os.File, err error) {
	descriptor, err := unix.MemfdCreate("list", unix.MFD_CLOEXEC)
	if err != nil {
		return "", nil, fmt.Errorf("collective: memory: %w", err)
	}
	file = os.NewFile(uintptr(descriptor), "list")
	if _, err := file.Write(content); err != nil {
		_ = file.Close()
		return "", nil, fmt.Errorf("collective: memory: %w", err)
	}
	return fmt.Sprintf("/proc/self/fd/%d", descriptor), file, nil
}
