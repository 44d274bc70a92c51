package pool

import "syscall"

// attributes let the kernel end a child whose parent died, even when it hangs and
// would not see its standard input end.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// limitMemory caps what this process may allocate, in C and in Go.
func limitMemory(bytes uint64) error {
	return syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: bytes, Max: bytes})
}
