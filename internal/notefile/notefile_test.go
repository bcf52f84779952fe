package notefile_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/notefile"
)

func TestReadAndReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "note")
	if data, err := notefile.Read(path, 10); data != nil || err != nil {
		t.Errorf("no file: %q, %v", data, err)
	}
	for _, text := range []string{"first", "the second one", ""} {
		if err := notefile.Replace(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		data, err := notefile.Read(path, 10)
		if want := text[:min(len(text), 11)]; err != nil || data == nil || string(data) != want {
			t.Errorf("got %q, %v; want %q", data, err, want)
		}
	}
	if err := notefile.Replace(filepath.Join(dir, "nowhere", "note"), nil); err == nil {
		t.Error("no error for a folder that is not there")
	}
	blocked := filepath.Join(dir, "blocked")
	if err := os.MkdirAll(filepath.Join(blocked, "in it"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := notefile.Replace(blocked, []byte("x")); err == nil {
		t.Error("a folder was replaced")
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.new")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := notefile.Read(blocked, 10); err == nil {
		t.Error("no error for a folder")
	}
}
