package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// Levels is the level of a log that can be changed.
type Levels interface {
	// Set changes the level: until it is set anew, or for a while. 0: no end.
	Set(level slog.Level, d time.Duration)
	// Get returns the level, the one to which it goes back, and when; zero: it does not.
	Get() (now, configured slog.Level, until time.Time)
}

// DiagnosticFile is one thing that diagnostics show. Write gets how many lines are wanted, where it is made of lines; 0: all.
type DiagnosticFile struct {
	Name, Description string
	Write             func(ctx context.Context, w io.Writer, lines int) error
}

// AdminConfig is what an Admin works with.
type AdminConfig struct {
	Version string
	Log     *slog.Logger
	Levels  Levels
	// Export is that of the store, and Journal the entries of the rollback journal that are not done.
	Export      func(ctx context.Context, visit func(store.Item) error) error
	Journal     func() [][]byte
	Diagnostics []DiagnosticFile
	// Redact takes out of diagnostics what must not leave the server. nil: nothing is left out.
	Redact func([]byte) []byte
	// Stall is how long a caller may leave a part unread before it is cut off. 0: DefaultStall.
	Stall time.Duration
}

const (
	// DefaultStall is the stall of an AdminConfig that has none.
	DefaultStall = time.Minute
	// maxExports bounds the backups at once: history is not trimmed while one is made.
	maxExports = 2
	// chunk is the size of the parts of a file, in bytes.
	chunk = 256 << 10
	// For how long a level may hold.
	minLevelFor = time.Second
	maxLevelFor = 24 * time.Hour
	// maxLogLines bounds the lines of the log that may be asked for.
	maxLogLines = 100_000
)

// Admin is the service AdminService. Its methods are those of the contract, see there.
type Admin struct {
	crossfadev1.UnimplementedAdminServiceServer
	AdminConfig
	exports chan struct{}
}

// NewAdmin returns an Admin.
func NewAdmin(c AdminConfig) *Admin {
	if c.Stall <= 0 {
		c.Stall = DefaultStall
	}
	if c.Redact == nil {
		c.Redact = func(b []byte) []byte { return b }
	}
	return &Admin{AdminConfig: c, exports: make(chan struct{}, maxExports)}
}

// Register adds it to a server from [API.GRPC].
func (a *Admin) Register(s *grpc.Server) { crossfadev1.RegisterAdminServiceServer(s, a) }

// SetLogLevel implements the contract.
func (a *Admin) SetLogLevel(ctx context.Context, r *crossfadev1.SetLogLevelRequest) (*crossfadev1.SetLogLevelResponse, error) {
	var p problems
	level, d := p.level(r.GetLevel()), p.levelFor(r.GetLevel(), r.GetDuration())
	if err := p.Err(); err != nil {
		return nil, err
	}
	if r.GetLevel() != "" {
		a.Levels.Set(level, d)
		a.Log.WarnContext(ctx, "the level of the log was changed", "who", who(ctx, ""), "level", LevelName(level), "for", d)
	}
	now, configured, until := a.Levels.Get()
	out := &crossfadev1.SetLogLevelResponse{Level: LevelName(now), Configured: LevelName(configured)}
	if !until.IsZero() {
		out.Until = timestamppb.New(until)
	}
	return out, nil
}

// LevelNames are the levels of the log.
var LevelNames = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

// LevelName is the name of a level.
func LevelName(l slog.Level) string {
	for name, level := range LevelNames {
		if level == l {
			return name
		}
	}
	return l.String()
}

func (p *problems) level(name string) slog.Level {
	level, ok := LevelNames[name]
	if !ok && name != "" {
		p.add("bad_level", "level", name, "must be debug, info, warn or error")
	}
	return level
}

// levelFor reads for how long a level is to hold.
func (p *problems) levelFor(level string, d *durationpb.Duration) time.Duration {
	switch {
	case d == nil:
		return 0
	case level == "":
		p.add("needs_level", "duration", d.AsDuration().String(), "is for how long a level holds, and there is none")
	case d.CheckValid() != nil || d.AsDuration() < minLevelFor || d.AsDuration() > maxLevelFor:
		p.add("out_of_range", "duration", d.AsDuration().String(), fmt.Sprintf("must be at least %s and at most %s", minLevelFor, maxLevelFor))
	}
	return d.AsDuration()
}
