package bolt

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// envChild makes the test binary a process that commits to the store at this path until it is killed.
const envChild = "CROSSFADE_BOLT_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(envChild); path != "" {
		if err := commitForEver(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	if path := os.Getenv(envCompact); path != "" {
		fmt.Fprintln(os.Stderr, compactForEver(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const killWriters = 8

// commitForEver commits two objects at a time from several goroutines, and prints a line for each commit that returned: writer, number and
// first revision.
func commitForEver(path string) error {
	s, err := Open(path, Options{})
	if err != nil {
		return err
	}
	fmt.Println("open")
	failed := make(chan error)
	var mu sync.Mutex
	for i := range killWriters {
		go func() {
			for n := 0; ; n++ {
				c := commitOf(write(fmt.Sprintf("left-%d", i), n, 300), write(fmt.Sprintf("right-%d", i), n, 300))
				c.Reason = fmt.Sprintf("%d.%d", i, n)
				rs, _, err := s.Commit(context.Background(), c)
				if err != nil {
					failed <- err
					return
				}
				mu.Lock()
				fmt.Printf("%s %d\n", c.Reason, rs[0].GetRevision())
				mu.Unlock()
			}
		}()
	}
	return <-failed
}

// TestKill kills a process that commits, at random points, 20 times on one file: whatever it said is there, nothing is there by half, and the
// numbers have no gap.
func TestKill(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	path := filepath.Join(t.TempDir(), "db")
	said := map[int64]string{} // reason by first revision
	var total time.Duration
	for range 20 {
		total += killOne(t, path, r.IntN(60), time.Duration(r.IntN(5000))*time.Microsecond, said)
		checkKilled(t, path, said)
	}
	rate := float64(2*len(said)) / total.Seconds()
	t.Logf("%d commits of two changes, %.0f changes/s", len(said), rate)
	if rate < 50 {
		t.Fatalf("%.0f changes/s, want 50 for the test to mean something", rate)
	}
}

// killOne starts the child, and kills it some time after it said a number of lines. It adds what the child said, and returns how long it wrote.
func killOne(t *testing.T, path string, lines int, delay time.Duration, said map[int64]string) time.Duration {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envChild+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(out)
	if line, err := in.ReadString('\n'); line != "open\n" {
		t.Fatalf("the child said %q (%v)", line, err)
	}
	start := time.Now()
	for range lines {
		remember(t, in, said)
	}
	kill := time.AfterFunc(delay, func() { cmd.Process.Kill() })
	defer kill.Stop()
	for remember(t, in, said) {
	}
	cmd.Wait() // killed
	return time.Since(start)
}

// remember reads a line of the child, false at its end. A line that was cut was not said.
func remember(t *testing.T, in *bufio.Reader, said map[int64]string) bool {
	t.Helper()
	line, err := in.ReadString('\n')
	if errors.Is(err, io.EOF) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	var reason, revision string
	if _, err := fmt.Sscan(line, &reason, &revision); err != nil {
		t.Fatalf("the child said %q", line)
	}
	n, err := strconv.ParseInt(revision, 10, 64)
	if err != nil || said[n] != "" {
		t.Fatalf("the child said %q; revision %d was %q", line, n, said[n])
	}
	said[n] = reason
	return true
}

// checkKilled opens the file again.
func checkKilled(t *testing.T, path string, said map[int64]string) {
	t.Helper()
	s := openStore(t, path)
	defer closeStore(t, s)
	rs, err := s.History(t.Context(), store.HistoryQuery{Limit: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	if len(rs)%2 != 0 {
		t.Fatalf("%d revisions: half a commit", len(rs))
	}
	for i, r := range rs {
		n := int64(len(rs) - i)
		if r.GetRevision() != n {
			t.Fatalf("revision %d where %d should be", r.GetRevision(), n)
		}
		if n%2 == 1 && rs[i-1].GetReason() != r.GetReason() {
			t.Fatalf("revisions %d and %d are of two commits", n, n+1)
		}
		if want, ok := said[n]; ok && want != r.GetReason() {
			t.Fatalf("revision %d is %q, the child said %q", n, r.GetReason(), want)
		}
	}
	for n := range said {
		if n > int64(len(rs)) {
			t.Fatalf("revision %d was said and is not there; the last is %d", n, len(rs))
		}
	}
}
