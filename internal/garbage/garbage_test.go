package garbage

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

var sink []byte

// TestCollect: nothing is done right after a collection, and something when half of the way to the next is gone.
func TestCollect(t *testing.T) {
	for !Collect() {
		sink = make([]byte, 64<<10)
	}
	if Collect() {
		t.Error("collected twice")
	}
}

// TestRun looks as often as it is told, until it ends.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		looks := 0
		Run(ctx, time.Second, func() bool { looks++; return looks%2 == 0 })
		if looks != 3 {
			t.Errorf("looked %d times", looks)
		}
	})
}
