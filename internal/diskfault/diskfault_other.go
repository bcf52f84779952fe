//go:build !linux

package diskfault

// Become returns: disks are broken on Linux only.
func Become() {}
