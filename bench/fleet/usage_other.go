//go:build !linux

package main

import "errors"

var errLinux = errors.New("the fleet bench reads memory and CPU time of processes as Linux shows them: run it on Linux")

func cpuSeconds() (float64, error) { return 0, errLinux }

func newPeak() error { return errLinux }
