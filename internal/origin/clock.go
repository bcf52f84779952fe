package origin

import (
	"time"

	"github.com/crossfade-proxy/crossfade/internal/monotime"
)

// Now is [monotime.Now], the clock of all times here.
func Now() time.Duration { return monotime.Now() }
