package poll

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestUntilAsksAtOnceAndThenAtEachInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, asked := time.Now(), 0
		err := Until(t.Context(), time.Second, True(func() bool { asked++; return asked == 4 }))
		if err != nil || asked != 4 || time.Since(start) != 3*time.Second {
			t.Errorf("asked %d times in %v: %v", asked, time.Since(start), err)
		}
	})
}

func TestUntilSaysWhatWasMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		missing := errors.New("two of three")
		err := Until(ctx, time.Second, func(ctx context.Context) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return missing
		})
		if !errors.Is(err, missing) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}
