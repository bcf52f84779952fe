package bolt

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// Buckets and keys of the file.
var (
	bucketMeta      = []byte("meta")
	bucketRevisions = []byte("revisions")
	bucketLive      = []byte("live")
	bucketObjects   = []byte("objects")
	bucketKeys      = []byte("keys")
	bucketExpiry    = []byte("expiry")

	dataBuckets = [][]byte{bucketRevisions, bucketLive, bucketObjects, bucketKeys, bucketExpiry}

	keyFormat = []byte("format")
	keyHead   = []byte("head")
)

const (
	magic   = "crossfade-store"
	sumSize = 8

	schemaFirst   = 1 // no revision was ever trimmed: versions that know no trims read it
	schemaTrimmed = 2 // the numbers of the revisions may have gaps
	schemaVersion = schemaTrimmed
)

// sumOf is the checksum of an entry. It covers where the entry is, so that a value at another key is an error.
func sumOf(bucket, key, payload []byte) uint64 {
	h := sha256.New()
	var n [8]byte
	binary.BigEndian.PutUint32(n[:4], uint32(len(bucket)))
	binary.BigEndian.PutUint32(n[4:], uint32(len(key)))
	h.Write(n[:])
	h.Write(bucket)
	h.Write(key)
	h.Write(payload)
	var out [sha256.Size]byte
	return binary.BigEndian.Uint64(h.Sum(out[:0]))
}

// seal puts the checksum in front of a payload.
func seal(bucket, key, payload []byte) (value []byte, sum uint64) {
	sum = sumOf(bucket, key, payload)
	value = make([]byte, sumSize, sumSize+len(payload))
	binary.BigEndian.PutUint64(value, sum)
	return append(value, payload...), sum
}

// unseal checks a value and returns its payload, which is part of value.
func unseal(bucket, key, value []byte) ([]byte, error) {
	if len(value) < sumSize || binary.BigEndian.Uint64(value) != sumOf(bucket, key, value[sumSize:]) {
		return nil, corrupt("the checksum of an entry in %q (key %x) is wrong", bucket, key)
	}
	return value[sumSize:], nil
}

// formatPayload says whose file it is. Its form is the same in every version.
func formatPayload(version uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte(magic), version)
}

// parseFormat returns the schema version.
func parseFormat(p []byte) (uint32, error) {
	if len(p) != len(magic)+4 || string(p[:len(magic)]) != magic {
		return 0, corrupt("the file is not a Crossfade store")
	}
	return binary.BigEndian.Uint32(p[len(magic):]), nil
}

// head is the last revision, and number and sum of all entries of the data buckets.
type head struct {
	revision int64
	entries  uint64
	sum      uint64
}

func (h head) payload() []byte {
	p := binary.BigEndian.AppendUint64(nil, uint64(h.revision))
	p = binary.BigEndian.AppendUint64(p, h.entries)
	return binary.BigEndian.AppendUint64(p, h.sum)
}

func parseHead(p []byte) (head, error) {
	if len(p) != 24 {
		return head{}, corrupt("the head entry has %d bytes", len(p))
	}
	return head{
		revision: int64(binary.BigEndian.Uint64(p)),
		entries:  binary.BigEndian.Uint64(p[8:]),
		sum:      binary.BigEndian.Uint64(p[16:]),
	}, nil
}

func revisionKey(r int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(r)) }

// parseRevision reads a revision from a key or payload of exactly 8 bytes.
func parseRevision(p []byte) (int64, error) {
	if len(p) != 8 {
		return 0, corrupt("a revision number has %d bytes", len(p))
	}
	return int64(binary.BigEndian.Uint64(p)), nil
}

func liveKey(k store.ObjectKey) []byte { return []byte(k.Kind + "\x00" + k.Name) }

func parseLiveKey(b []byte) (store.ObjectKey, error) {
	kind, name, ok := bytes.Cut(b, []byte{0})
	if !ok {
		return store.ObjectKey{}, corrupt("the object key %q has no kind", b)
	}
	return store.ObjectKey{Kind: string(kind), Name: string(name)}, nil
}

// objectPrefix is what the index keys of one object have in common.
func objectPrefix(k store.ObjectKey) []byte { return append(liveKey(k), 0) }

func objectKey(k store.ObjectKey, r int64) []byte { return append(objectPrefix(k), revisionKey(r)...) }

// usedKey is what is kept of an idempotency key.
type usedKey struct {
	time   time.Time
	first  int64
	count  int64
	digest []byte
}

func (u usedKey) payload() []byte {
	p := binary.BigEndian.AppendUint64(nil, uint64(u.time.UnixNano()))
	p = binary.BigEndian.AppendUint64(p, uint64(u.first))
	p = binary.BigEndian.AppendUint64(p, uint64(u.count))
	return append(p, u.digest...)
}

func parseUsedKey(p []byte) (usedKey, error) {
	if len(p) < 24 {
		return usedKey{}, corrupt("an idempotency entry has %d bytes", len(p))
	}
	return usedKey{
		time:   time.Unix(0, int64(binary.BigEndian.Uint64(p))),
		first:  int64(binary.BigEndian.Uint64(p[8:])),
		count:  int64(binary.BigEndian.Uint64(p[16:])),
		digest: bytes.Clone(p[24:]),
	}, nil
}

// expiredAt says whether a commit at now may use the key again.
func (u usedKey) expiredAt(now time.Time) bool { return now.Sub(u.time) > store.KeyLifetime }

func expiryKey(t time.Time, key []byte) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(t.UnixNano())), key...)
}

func parseExpiryKey(b []byte) (time.Time, []byte, error) {
	if len(b) <= 8 {
		return time.Time{}, nil, corrupt("an expiry key has %d bytes", len(b))
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(b))), b[8:], nil
}

// corrupt is a store.ErrCorrupt with what was found.
func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", store.ErrCorrupt, fmt.Sprintf(format, args...))
}
