package engine

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/notefile"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/guard"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// keeper keeps over a restart what is only counted or learnt. Without it a step takes longer, and nothing else.
type keeper struct {
	dir string // empty: nothing is kept
	log *slog.Logger
}

// maxKept bounds a file, in bytes: 16 guards of 20 kB for each side.
const maxKept = 1 << 20

// kept is what a file holds. The counts are of one moment of a walk, and count for that moment only; the rest is of the run.
type kept struct {
	Run      string        `json:"run"`
	Phase    rollout.Phase `json:"phase"`
	Step     int           `json:"step"`
	Again    int           `json:"again"`
	Notes    int           `json:"notes"`
	Bake     time.Duration `json:"bake"`
	Requests int64         `json:"requests"`
	Kept     time.Duration `json:"kept"`
	Rest     time.Duration `json:"rest"`

	Weight  policy.BasisPoints    `json:"weight"` // at which the guards looked last
	Guards  map[string]guardState `json:"guards,omitempty"`
	Primary map[string]guardState `json:"primary,omitempty"`
	Past    []rollout.Note        `json:"past,omitempty"`
}

// guardState is the state of a guard that is only taken over if it can be one.
type guardState struct{ guard.State }

// UnmarshalJSON implements [json.Unmarshaler].
func (s *guardState) UnmarshalJSON(data []byte) (err error) {
	s.State, err = guard.ReadState(data)
	return err
}

// keepable is what is to be kept of a walk. It shares nothing that changes.
func (w *walker) keepable() *kept {
	s := &w.state
	out := &kept{
		Run: s.Plan, Phase: s.Phase, Step: s.Step, Again: s.Again, Notes: s.Notes, Bake: s.Bake, Requests: s.Requests, Kept: s.Kept,
		Weight: w.weight, Guards: map[string]guardState{}, Primary: map[string]guardState{}, Past: append([]rollout.Note(nil), w.past...),
	}
	if s.Back != nil {
		out.Rest = s.Back.Rest
	}
	for _, g := range w.guards {
		out.Guards[g.g.Name()], out.Primary[g.g.Name()] = guardState{g.main}, guardState{g.other}
	}
	return out
}

// over adds to a state what was counted, if that is of the same moment.
func (k *kept) over(s rollout.State) rollout.State {
	if k.Phase != s.Phase || k.Step != s.Step || k.Again != s.Again || k.Notes != s.Notes {
		return s
	}
	s.Bake, s.Requests, s.Kept = k.Bake, k.Requests, k.Kept
	if s.Back != nil {
		s.Back = new(*s.Back)
		s.Back.Rest = k.Rest
	}
	return s
}

func (k keeper) path(name string) string { return filepath.Join(k.dir, name+".json") }

// write keeps what a walk has observed.
func (k keeper) write(name string, what *kept) {
	if k.dir == "" {
		return
	}
	data, err := json.Marshal(what)
	if err == nil {
		if err = os.MkdirAll(k.dir, 0o700); err == nil {
			err = notefile.Replace(k.path(name), data)
		}
	}
	if err != nil {
		k.log.Warn("what a rollout has observed could not be kept for a restart", "rollout", name, "error", err)
	}
}

// read returns what was kept of a run; nil: nothing, or nothing that can be used.
func (k keeper) read(name string, s rollout.State) *kept {
	if k.dir == "" {
		return nil
	}
	data, err := notefile.Read(k.path(name), maxKept)
	if data == nil && err == nil {
		return nil
	}
	var out *kept
	if err == nil {
		out, err = parseKept(data)
	}
	switch {
	case err != nil:
		k.log.Warn("what a rollout had observed before the restart cannot be read: it is observed anew", "rollout", name, "error", err)
		return nil
	case out.Run != s.Plan:
		return nil
	}
	return out
}

// parseKept reads a file, and refuses one that no walk can have written.
func parseKept(data []byte) (*kept, error) {
	if len(data) > maxKept {
		return nil, fmt.Errorf("it has more than %d bytes", maxKept)
	}
	var k kept
	if err := json.Unmarshal(data, &k); err != nil {
		return nil, err
	}
	for _, n := range []int64{int64(k.Bake), k.Requests, int64(k.Kept), int64(k.Rest), int64(k.Weight)} {
		if n < 0 {
			return nil, fmt.Errorf("it counts %d", n)
		}
	}
	if len(k.Past) > maxNotes {
		return nil, fmt.Errorf("it has %d notes", len(k.Past))
	}
	return &k, nil
}

func (k keeper) remove(name string) {
	if k.dir != "" {
		_ = os.Remove(k.path(name)) // what is left is of another run, and ignored
	}
}
