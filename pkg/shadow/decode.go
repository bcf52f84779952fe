package shadow

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"strings"
)

// What is wrong with an encoded body.
var (
	// ErrEncoding: the encoding is not one that can be undone here (br and zstd are not). The body is compared as bytes: set Answer.Encoded.
	ErrEncoding = errors.New("content-encoding is not known")
	// ErrCorrupt: the body is not what its encoding says.
	ErrCorrupt = errors.New("body does not fit its content-encoding")
	// ErrBomb: the body grows by more than the ratio that is allowed.
	ErrBomb = errors.New("body grows too much when it is decoded")

	errFrame = errors.New("not framed as gRPC is")
)

// DecodeLimits bound what a body may become.
type DecodeLimits struct {
	Bytes int // at most that many are decoded; the rest is over the cap
	Ratio int // what is decoded may be that many times as long as what it came from, beyond the first 64 KiB
}

// free is how much may be decoded whatever the ratio.
const free = 64 << 10

// maxEncodings is how many encodings a body may have on top of each other.
const maxEncodings = 2

// Decode undoes a content-encoding: gzip, deflate (with or without the frame of zlib), identity, or a list of these. Of a body that is
// longer than the limit it returns the beginning, and over is true. So it does of one that ends too early, with ErrCorrupt if it was not cut
// off by the caller: the beginning is good in any case.
func Decode(encoding string, body []byte, limits DecodeLimits) (decoded []byte, over bool, err error) {
	encodings := strings.Split(encoding, ",")
	if len(encodings) > maxEncodings {
		return nil, false, ErrEncoding
	}
	for i := len(encodings) - 1; i >= 0 && err == nil; i-- {
		one := false
		body, one, err = decodeOne(strings.ToLower(strings.TrimSpace(encodings[i])), body, limits)
		over = over || one
	}
	return body, over, err
}

func decodeOne(encoding string, body []byte, limits DecodeLimits) ([]byte, bool, error) {
	var r io.Reader
	var err error
	switch encoding {
	case "", "identity":
		if len(body) > limits.Bytes {
			return body[:limits.Bytes], true, nil
		}
		return body, false, nil
	case "gzip", "x-gzip":
		r, err = gzip.NewReader(bytes.NewReader(body))
	case "deflate":
		if r, err = zlib.NewReader(bytes.NewReader(body)); err != nil {
			r, err = flate.NewReader(bytes.NewReader(body)), nil
		}
	default:
		return nil, false, ErrEncoding
	}
	if err != nil {
		return nil, false, ErrCorrupt
	}
	return inflate(r, len(body), limits)
}

// inflate reads up to the limit, and one byte to know whether there is more.
func inflate(r io.Reader, from int, limits DecodeLimits) ([]byte, bool, error) {
	most := max(free, from*max(limits.Ratio, 1))
	var out bytes.Buffer
	n, err := io.Copy(&out, io.LimitReader(r, int64(min(limits.Bytes, most))+1))
	b := out.Bytes()
	switch {
	case int(n) > limits.Bytes:
		return b[:limits.Bytes], true, nil
	case int(n) > most:
		return b[:most], true, ErrBomb
	case err != nil:
		return b, false, ErrCorrupt
	}
	return b, false, nil
}
