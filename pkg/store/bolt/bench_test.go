package bolt

import (
	"bytes"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// BenchmarkCommit measures durable commits per second on the disk of the temporary directory.
func BenchmarkCommit(b *testing.B) {
	for _, writers := range []int{1, 50} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := openStore(b, filepath.Join(b.TempDir(), "db"))
			var n atomic.Int64
			run := func(name string) {
				if _, _, err := s.Commit(b.Context(), commitOf(write(name, int(n.Add(1)), 1000))); err != nil {
					b.Error(err)
				}
			}
			b.ResetTimer()
			concurrently(b, writers, run)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}

// concurrently divides b.N calls among writers, each with an object of its own.
func concurrently(b *testing.B, writers int, run func(name string)) {
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan struct{})
	for i := range writers {
		go func() {
			defer func() { done <- struct{}{} }()
			for left.Add(-1) >= 0 {
				run(fmt.Sprintf("service-%d", i))
			}
		}()
	}
	for range writers {
		<-done
	}
}

// BenchmarkLoad measures Load with 200 services.
func BenchmarkLoad(b *testing.B) {
	s := openStore(b, filepath.Join(b.TempDir(), "db"))
	for i := range 200 {
		mustCommit(b, s, commitOf(write(fmt.Sprintf("service-%d", i), i, 1000)))
	}
	for b.Loop() {
		if _, err := s.Load(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerify measures the check of the whole file that opening does.
func BenchmarkVerify(b *testing.B) {
	good, _ := filled(b)
	b.SetBytes(int64(len(good)))
	for b.Loop() {
		if _, err := verify(bytes.NewReader(good), int64(len(good))); err != nil {
			b.Fatal(err)
		}
	}
}
