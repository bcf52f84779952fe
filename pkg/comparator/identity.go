package comparator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"time"
)

// identities remembers for whom was asked within the last second. Whose credentials they are is known only as a keyed hash.
type identities struct {
	key   []byte
	names []string // of headers, in canonical form
	last  map[uint64]time.Time
	swept time.Time

	instances, index uint64 // comparators, and which of them this is: each asks for its own identities. 0 instances: this one for all
}

func newIdentities(key []byte, headers []string) *identities {
	i := &identities{key: key, last: map[uint64]time.Time{}}
	for _, h := range headers {
		i.names = append(i.names, http.CanonicalHeaderKey(h))
	}
	return i
}

// of returns whose a request is; 0 if it has none of the headers.
func (i *identities) of(h http.Header) uint64 {
	mac, any := hmac.New(sha256.New, i.key), false
	for _, name := range i.names {
		for _, v := range h[name] {
			any = true
			mac.Write([]byte(name))
			mac.Write([]byte{0})
			mac.Write([]byte(v))
			mac.Write([]byte{0})
		}
	}
	if !any {
		return 0
	}
	return max(binary.LittleEndian.Uint64(mac.Sum(nil)), 1)
}

// may says whether it may be asked for an identity now. If too many are known at once it may not.
func (i *identities) may(who uint64, now time.Time) bool {
	if who == 0 {
		return true
	}
	if i.instances > 1 && who%i.instances != i.index {
		return false
	}
	if last, ok := i.last[who]; ok {
		return now.Sub(last) >= identityPeriod
	}
	if len(i.last) >= maxIdentities {
		i.sweep(now)
	}
	return len(i.last) < maxIdentities
}

// divide says how many comparators ask for identities, and which of them this is, from 0.
func (i *identities) divide(instances, index int32) {
	i.instances, i.index = uint64(max(instances, 0)), uint64(max(index, 0))
}

// asked remembers that it was asked for an identity.
func (i *identities) asked(who uint64, now time.Time) {
	if who != 0 {
		i.last[who] = now
	}
}

// sweep forgets those that may be asked again; at most ten times a second, or a crowd would cost all of the time.
func (i *identities) sweep(now time.Time) {
	if now.Sub(i.swept) < identityPeriod/10 {
		return
	}
	i.swept = now
	for who, last := range i.last {
		if now.Sub(last) >= identityPeriod {
			delete(i.last, who)
		}
	}
}
