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
	for !collect() {
		sink = make([]byte, 64<<10)
	}
	if collect() {
		t.Error("collected twice")
	}
}

// TestRun looks as often as it should, until it ends.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*looks+looks/2)
		defer cancel()
		asked := 0
		Run(ctx, func(long time.Duration) bool {
			if long != quietFor {
				t.Errorf("asked for %v", long)
			}
			asked++
			return asked%2 == 0
		})
		if asked != 10 {
			t.Errorf("looked %d times", asked)
		}
	})
}
