package shadow

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"strconv"
)

// Shape is what is kept of a value.
type Shape struct {
	Type   string `json:"type,omitempty"`   // string, number, bool, null, object, array, bytes, absent, status, a media type, …
	Length int    `json:"length,omitempty"` // bytes, members or elements
	Hash   string `json:"hash,omitempty"`   // of the value, keyed: equal values have equal ones, and nobody without the key learns more
	Value  string `json:"value,omitempty"`  // only of paths that are allowed by name, statuses and failures
}

// String is the shape for people: "string(12) #0a1b2c3d4e5f6071".
func (s Shape) String() string {
	switch {
	case s.Value != "":
		return s.Value
	case s.Hash == "" && s.Length == 0:
		return s.Type
	case s.Hash == "":
		return s.Type + "(" + strconv.Itoa(s.Length) + ")"
	}
	return s.Type + "(" + strconv.Itoa(s.Length) + ") #" + s.Hash
}

// MaxValue is how many bytes of an allowed value are kept.
const MaxValue = 64

// hasher makes keyed hashes of values: HMAC with SHA-256, of which 8 bytes are kept.
type hasher struct {
	mac hash.Hash
	sum [sha256.Size]byte
}

func newHasher(key []byte) hasher { return hasher{mac: hmac.New(sha256.New, key)} }

// of is the hash of a value for some use: hashes of one use say nothing of those of another.
func (h *hasher) of(use byte, value []byte) uint64 {
	h.mac.Reset()
	h.sum[0] = use
	h.mac.Write(h.sum[:1])
	h.mac.Write(value)
	h.mac.Sum(h.sum[:0])
	return binary.BigEndian.Uint64(h.sum[:])
}

// The uses of hashes.
const (
	useValue byte = iota
	usePath
	useBody
	useKey
)

// text is the hash of a value as it is shown.
func (h *hasher) text(value []byte) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], h.of(useValue, value))
	return hex.EncodeToString(b[:])
}

// media are the types of content that are shown by name. Others are hashed: a header can hold anything.
var media = map[string]bool{
	"application/json": true, "application/problem+json": true, "application/x-ndjson": true, "application/hal+json": true,
	"application/vnd.api+json": true, "application/xml": true, "application/grpc": true, "application/grpc+proto": true,
	"application/protobuf": true, "application/x-protobuf": true, "application/octet-stream": true, "application/pdf": true,
	"application/javascript": true, "application/x-www-form-urlencoded": true, "application/zip": true, "application/gzip": true,
	"text/plain": true, "text/html": true, "text/xml": true, "text/css": true, "text/csv": true, "text/javascript": true,
	"image/png": true, "image/jpeg": true, "image/gif": true, "image/svg+xml": true, "image/webp": true, "font/woff2": true,
}
