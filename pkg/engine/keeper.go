package engine

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/notefile"
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

// kept is what a file holds. It counts for the same moment of the same walk only.
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

	Guards  map[string]guard.State `json:"guards,omitempty"`
	Primary map[string]guard.State `json:"primary,omitempty"`
}

func (k keeper) path(name string) string { return filepath.Join(k.dir, name+".json") }

// write keeps what a walk has observed.
func (k keeper) write(name string, s rollout.State, guards []*watched) {
	if k.dir == "" {
		return
	}
	out := kept{
		Run: s.Plan, Phase: s.Phase, Step: s.Step, Again: s.Again, Notes: s.Notes, Bake: s.Bake, Requests: s.Requests, Kept: s.Kept,
		Guards: map[string]guard.State{}, Primary: map[string]guard.State{},
	}
	if s.Back != nil {
		out.Rest = s.Back.Rest
	}
	for _, g := range guards {
		out.Guards[g.g.Name()], out.Primary[g.g.Name()] = g.main, g.other
	}
	data, err := json.Marshal(out)
	if err == nil {
		if err = os.MkdirAll(k.dir, 0o700); err == nil {
			err = notefile.Replace(k.path(name), data)
		}
	}
	if err != nil {
		k.log.Warn("what a rollout has observed could not be kept for a restart", "rollout", name, "error", err)
	}
}

// read adds to a state what was kept of it, and gives the states of guards to each.
func (k keeper) read(name string, s rollout.State, guards []*watched) rollout.State {
	if k.dir == "" {
		return s
	}
	data, err := notefile.Read(k.path(name), maxKept)
	if data == nil && err == nil {
		return s
	}
	var in kept
	if err == nil {
		err = json.Unmarshal(data, &in)
	}
	if err != nil {
		k.log.Warn("what a rollout had observed before the restart cannot be read: it is observed anew", "rollout", name, "error", err)
		return s
	}
	if in.Run != s.Plan {
		return s
	}
	for _, g := range guards {
		g.restore(in.Guards[g.g.Name()], in.Primary[g.g.Name()])
	}
	if in.Phase == s.Phase && in.Step == s.Step && in.Again == s.Again && in.Notes == s.Notes {
		s.Bake, s.Requests, s.Kept = in.Bake, in.Requests, in.Kept
		if s.Back != nil {
			back := *s.Back
			back.Rest = in.Rest
			s.Back = &back
		}
	}
	return s
}

func (k keeper) remove(name string) {
	if k.dir != "" {
		_ = os.Remove(k.path(name)) // what is left is of another run, and ignored
	}
}
