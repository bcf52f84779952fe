package protocols

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/stack"
)

// fullVariable makes bodies 1 GB, and waits for the idle timeout that services have by default.
const fullVariable = "CROSSFADE_FULL"

var (
	update = flag.Bool("update", false, "write the tables of docs/protocols.md anew; reasons stay, new rows get none")
	run    struct {
		full   bool
		binary string // xds-server
	}
)

func TestMain(m *testing.M) {
	flag.Parse()
	run.full = os.Getenv(fullVariable) == "1"
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "crossfade-protocols-*")
		if err == nil {
			defer os.RemoveAll(dir)
			run.binary, err = stack.Build(context.Background(), dir, "xds-server")
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// large is the size of large bodies, in bytes.
func large() int64 {
	if run.full {
		return 1 << 30
	}
	return 64 << 20
}
