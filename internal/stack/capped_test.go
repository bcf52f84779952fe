package stack

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestCapped(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	c := &capped{file: f}
	piece := bytes.Repeat([]byte("x"), maxLog/4)
	for i := range 10 {
		if n, err := c.Write(piece); err != nil || n != len(piece) {
			t.Fatal(n, err)
		}
		st, err := f.Stat()
		if want := int64(i%4+1) * maxLog / 4; err != nil || st.Size() != want {
			t.Fatalf("after write %d: %d bytes, want %d, %v", i, st.Size(), want, err)
		}
	}
}
