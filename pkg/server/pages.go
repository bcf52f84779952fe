package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"google.golang.org/protobuf/proto"
)

// Bounds of a page.
const (
	defaultPageSize = 200
	maxPageSize     = 1000
	maxPageBytes    = 4 << 20 // a page ends early where its items are this large
	maxToken        = 4 << 10
)

// size checks the size of a page that was asked for.
func (p *problems) size(n int32) int {
	switch {
	case n == 0:
		return defaultPageSize
	case n < 0 || n > maxPageSize:
		p.add("out_of_range", "pageSize", fmt.Sprint(n), fmt.Sprintf("must be 1 to %d, or 0 for %d", maxPageSize, defaultPageSize))
	}
	return int(n)
}

// token reads a page token: where the page before ended. It belongs to one method and one filter, see [newToken].
func (p *problems) token(token, list string) (last string) {
	if token == "" {
		return ""
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	if len(token) > maxToken || err != nil || len(b) <= tokenSum || !bytes.Equal(b[:tokenSum], sumToken(list, string(b[tokenSum:]))) {
		p.add("page_token", "pageToken", token, "is not from an answer to this list with the same filter")
		return ""
	}
	return string(b[tokenSum:])
}

const tokenSum = 6 // bytes

// newToken makes a token of the list (method and filter) and the last item of a page. It is no secret; the sum is there so that a
// token of something else is an error and not a wrong page.
func newToken(list, last string) string {
	return base64.RawURLEncoding.EncodeToString(append(sumToken(list, last), last...))
}

func sumToken(list, last string) []byte {
	sum := sha256.Sum256([]byte(list + "\x00" + last))
	return sum[:tokenSum]
}

// page cuts items, which are in order and begin where the page does, to a size, and makes the token of the next page. key says
// where an item is in the order; it must not be empty.
func page[M proto.Message](items []M, size int, list string, key func(M) string) ([]M, string) {
	n, bytes := 0, 0
	for n < len(items) && n < size {
		bytes += proto.Size(items[n])
		if bytes > maxPageBytes && n > 0 {
			break
		}
		n++
	}
	if n == len(items) {
		return items, ""
	}
	return items[:n], newToken(list, key(items[n-1]))
}
