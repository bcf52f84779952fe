package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// ErrInvalid: the commit itself is malformed. It is a mistake of the calling code, not of a user.
var ErrInvalid = errors.New("malformed commit")

// KeyLifetime is how long an idempotency key is kept.
const KeyLifetime = 24 * time.Hour

// MaxKeyBytes bounds the name of an object and an idempotency key.
const MaxKeyBytes = 512

// DefaultHistoryLimit is the limit of a HistoryQuery that has none.
const DefaultHistoryLimit = 200

// KeyOf names the object that a document describes.
func KeyOf(d *crossfadev1.Document) (ObjectKey, error) {
	switch o := d.GetObject().(type) {
	case *crossfadev1.Document_Service:
		return ObjectKey{Kind: "Service", Name: o.Service.GetName()}, nil
	case *crossfadev1.Document_Fleet:
		return ObjectKey{Kind: "Fleet", Name: o.Fleet.GetName()}, nil
	case *crossfadev1.Document_Mirror:
		return ObjectKey{Kind: "Mirror", Name: o.Mirror.GetName()}, nil
	case *crossfadev1.Document_Rollout:
		return ObjectKey{Kind: "Rollout", Name: o.Rollout.GetName()}, nil
	default:
		return ObjectKey{}, fmt.Errorf("%w: a document without an object", ErrInvalid)
	}
}

// KeyOfRevision names the object that a revision changed.
func KeyOfRevision(r *crossfadev1.Revision) ObjectKey {
	return ObjectKey{Kind: r.GetKind(), Name: r.GetService()}
}

// Validate checks what every backend relies on: one write or more, at most one per object, documents that match their keys, a time.
// Errors are ErrInvalid. Backends call it before anything else.
func (c *Commit) Validate() error {
	if len(c.Writes) == 0 {
		return fmt.Errorf("%w: no writes", ErrInvalid)
	}
	if y := c.Time.Year(); y < 1970 || y > 2200 {
		return fmt.Errorf("%w: time %s is not set or not plausible", ErrInvalid, c.Time.Format(time.RFC3339))
	}
	if len(c.IdempotencyKey) > MaxKeyBytes {
		return fmt.Errorf("%w: idempotency key of %d bytes; at most %d", ErrInvalid, len(c.IdempotencyKey), MaxKeyBytes)
	}
	seen := make(map[ObjectKey]bool, len(c.Writes))
	for i := range c.Writes {
		w := &c.Writes[i]
		if seen[w.Key] {
			return fmt.Errorf("%w: two writes to %s %s", ErrInvalid, w.Key.Kind, w.Key.Name)
		}
		seen[w.Key] = true
		if err := w.validate(); err != nil {
			return err
		}
	}
	return nil
}

func (w *Write) validate() error {
	k := w.Key
	switch {
	case !slices.Contains([]string{"Service", "Fleet", "Mirror", "Rollout"}, k.Kind):
		return fmt.Errorf("%w: unknown kind %q", ErrInvalid, k.Kind)
	case k.Name == "" || len(k.Name) > MaxKeyBytes || strings.ContainsRune(k.Name, 0):
		return fmt.Errorf("%w: name of %d bytes; 1 to %d, none of them zero", ErrInvalid, len(k.Name), MaxKeyBytes)
	case w.Expect < AnyRevision:
		return fmt.Errorf("%w: expected revision %d", ErrInvalid, w.Expect)
	case w.After == nil && w.Expect == 0:
		return fmt.Errorf("%w: a delete of %s %s that must not exist", ErrInvalid, k.Kind, k.Name)
	case w.After == nil:
		return nil
	}
	have, err := KeyOf(w.After)
	if err != nil {
		return err
	}
	if have != k {
		return fmt.Errorf("%w: the document of %s %s is written as %s %s", ErrInvalid, have.Kind, have.Name, k.Kind, k.Name)
	}
	return nil
}
