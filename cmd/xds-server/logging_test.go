package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// TestALevelForNearlyNoTimeGoesBack: the time may be over before it is noted that there is one.
func TestALevelForNearlyNoTimeGoesBack(t *testing.T) {
	var all []*logs
	for range 2000 {
		l := openLogs("text", "info", io.Discard)
		l.Set(slog.LevelDebug, time.Nanosecond)
		all = append(all, l)
	}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	for i, l := range all {
		if err := poll.Until(ctx, time.Millisecond, func(context.Context) error {
			if now, _, until := l.Get(); now != slog.LevelInfo || !until.IsZero() {
				return errors.New("the level stays " + now.String())
			}
			return nil
		}); err != nil {
			t.Fatalf("log %d: %v", i, err)
		}
	}
}
