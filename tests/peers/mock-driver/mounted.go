package main

import (
	"errors"
	"os"
	"syscall"

	mock "k8s.io/kubernetes/test/e2e/storage/drivers/csi-test/mock/service"
)

// mounted is what the mock service does to directories, with mounts as a driver of real volumes has them: a node tells a volume that
// is there from a directory that was left by them.
type mounted struct {
	mock.OSDirIO
}

func (m mounted) Mkdir(path string) error {
	if err := m.OSDirIO.Mkdir(path); err != nil {
		return err
	}
	return syscall.Mount("mock", path, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, "size=64k")
}

func (m mounted) RemoveAll(path string) error {
	err := syscall.Unmount(path, 0)
	if err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return m.OSDirIO.RemoveAll(path)
}
