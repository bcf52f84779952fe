package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// layers of the bootstrap, which proxies ask for.
var layers = translate.LayerNames()

// sample is how a control plane is at one time.
type sample struct {
	Minute      int     `json:"minute"`
	Heap        float64 `json:"heap"` // bytes in use, after a collection
	Goroutines  float64 `json:"goroutines"`
	Descriptors float64 `json:"descriptors"`
	Resident    float64 `json:"resident"`    // bytes
	Store       float64 `json:"store"`       // bytes of its file
	Others      float64 `json:"others"`      // bytes of all other files of the data directory
	Files       float64 `json:"files"`       // of the data directory
	Revisions   float64 `json:"revisions"`   // in the history
	PerRevision float64 `json:"perRevision"` // bytes of the store's file
}

// String is a line for who waits.
func (s sample) String() string {
	return fmt.Sprintf("minute %d: heap %.1f MiB, %.0f goroutines, %.0f descriptors, resident %.0f MiB, store %.1f MiB for %.0f revisions, others %.0f kB in %.0f files",
		s.Minute, s.Heap/(1<<20), s.Goroutines, s.Descriptors, s.Resident/(1<<20), s.Store/(1<<20), s.Revisions, s.Others/1024, s.Files-1)
}

// get asks the HTTP listener.
func (w *work) get(ctx context.Context, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.Server.HTTP+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, resp.Status, b)
	}
	return string(b), err
}

// number is the value after a word at the beginning of a line.
func number(text, word string) (float64, error) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, word); ok {
			return strconv.ParseFloat(strings.Fields(rest)[0], 64)
		}
	}
	return 0, fmt.Errorf("%q is not there", word)
}

// sample looks at everything.
func (w *work) sample(ctx context.Context, minute int) (s sample, err error) {
	s.Minute = minute
	heap, err := w.get(ctx, "/debug/pprof/heap?gc=1&debug=1")
	if err != nil {
		return s, err
	}
	if s.Heap, err = number(heap, "# HeapAlloc = "); err != nil {
		return s, err
	}
	metrics, err := w.get(ctx, "/metrics")
	if err != nil {
		return s, err
	}
	for word, to := range map[string]*float64{"go_goroutines ": &s.Goroutines, "process_open_fds ": &s.Descriptors, "process_resident_memory_bytes ": &s.Resident} {
		if *to, err = number(metrics, word); err != nil {
			return s, err
		}
	}
	info, err := w.API.GetServerInfo(ctx, &crossfadev1.GetServerInfoRequest{})
	if err != nil {
		return s, err
	}
	s.Revisions = float64(info.GetRevision())
	err = filepath.WalkDir(w.data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		file, err := d.Info()
		switch {
		case os.IsNotExist(err):
			return nil // it was replaced meanwhile
		case err != nil:
			return err
		case d.Name() == "store.db":
			s.Store = float64(file.Size())
		default:
			s.Others += float64(file.Size())
		}
		s.Files++
		return nil
	})
	s.PerRevision = s.Store / max(1, s.Revisions)
	return s, err
}

// rolloutOf is a plan that does not end by itself.
func rolloutOf(name, service string) *crossfadev1.Rollout {
	parsed, err := manifest.Parse("rollout", fmt.Appendf(nil, `{apiVersion: crossfade/v1, kind: Rollout, name: %s, service: %s, to: eks, onFailure: rollback,
 steps: [{weight: 10%%, bake: 1h, minRequests: 500}, {weight: 100%%, bake: 1h}], guards: [{name: err, metric: errorRate, max: 0.5%%}]}`, name, service))
	if err != nil {
		panic(err) // it is written here
	}
	return parsed[0].Document.GetRollout()
}
