package garbage

import "testing"

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
