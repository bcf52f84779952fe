package main

import (
	"slices"
	"sync"

	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
)

// holding counts the clients that hold exactly what they should.
type holding struct {
	mu    sync.Mutex
	want  []wanted
	right []bool
	left  int           // of those that count, who do not hold it
	all   chan struct{} // closed, and nil, once nobody is left
}

// wanted is what one client should hold.
type wanted struct {
	digest  uint64
	ignored bool // does not count
}

// expect begins to count anew.
func (h *holding) expect(want []wanted, clients []*deltaclient.Client) <-chan struct{} {
	h.mu.Lock()
	h.want, h.right, h.left, h.all = want, make([]bool, len(want)), 1, make(chan struct{}) // one more, so that it is not closed yet
	for _, w := range want {
		if !w.ignored {
			h.left++
		}
	}
	all := h.all
	h.mu.Unlock()
	for i, c := range clients {
		h.changed(i, c)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.oneLess()
	return all
}

func (h *holding) changed(i int, c *deltaclient.Client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	digest := c.Stats().Digest // under the lock: of two calls for a client, the later one knows better
	if i >= len(h.want) || h.want[i].ignored || h.right[i] == (digest == h.want[i].digest) {
		return
	}
	if h.right[i] = !h.right[i]; h.right[i] {
		h.oneLess()
	} else {
		h.left++
	}
}

// oneLess counts one who holds it. h.mu is held.
func (h *holding) oneLess() {
	if h.left--; h.left == 0 && h.all != nil {
		close(h.all)
		h.all = nil
	}
}

// missing says how many do not hold it, and names one.
func (h *holding) missing() (count, one int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.left, max(0, slices.Index(h.right, false))
}
