package experiment

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

// atomicStrings is what was told last.
type atomicStrings struct {
	mu   sync.Mutex
	last string
	told int
}

func (s *atomicStrings) addresses(all []netip.AddrPort) {
	var words []string
	for _, a := range all {
		words = append(words, a.String())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = strings.Join(words, " ")
	s.told++
}

func (s *atomicStrings) await(t testing.TB, want string) {
	t.Helper()
	await(t, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.last != want || s.told == 0 {
			return fmt.Errorf("told %q, want %q", s.last, want)
		}
		return nil
	})
}
