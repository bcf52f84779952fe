package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
)

// harness lets packages that serve tests serve this program: what they would fail a test with is an error here.
type harness struct {
	testing.TB // nil; only what is below is called
	ctx        context.Context
	cleanups   []func()
	failed     bool
}

// failure is what a fatal call panics with.
type failure struct{ text string }

// try calls what may fail a test.
func (h *harness) try(f func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			failed, ok := r.(failure)
			if !ok {
				panic(r)
			}
			err = errors.New(failed.text)
		}
	}()
	f()
	return nil
}

// close cleans up, the last first.
func (h *harness) close() {
	for _, f := range slices.Backward(h.cleanups) {
		f()
	}
	h.cleanups = nil
}

// Helper and the like are what package testing says of them.
func (h *harness) Helper() {}

// Name of the program.
func (h *harness) Name() string { return "bench-churn" }

// Context of the program.
func (h *harness) Context() context.Context { return h.ctx }

// Output is where progress goes.
func (h *harness) Output() io.Writer { return os.Stderr }

// Cleanup is called at the end.
func (h *harness) Cleanup(f func()) { h.cleanups = append(h.cleanups, f) }

// Failed says whether something went wrong, so that logs are shown.
func (h *harness) Failed() bool { return h.failed }

// Logf prints.
func (h *harness) Logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// Error notes that something went wrong.
func (h *harness) Error(args ...any) {
	h.failed = true
	fmt.Fprintln(os.Stderr, args...)
}

// Errorf notes that something went wrong.
func (h *harness) Errorf(format string, args ...any) { h.Error(fmt.Sprintf(format, args...)) }

// Fatal ends what [harness.try] called.
func (h *harness) Fatal(args ...any) {
	h.failed = true
	panic(failure{fmt.Sprint(args...)})
}

// Fatalf ends what [harness.try] called.
func (h *harness) Fatalf(format string, args ...any) { h.Fatal(fmt.Sprintf(format, args...)) }

// TempDir is removed at the end.
func (h *harness) TempDir() string {
	dir, err := os.MkdirTemp("", "crossfade-bench-*")
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
