package hook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Tolerance is how far the time stamp of an event may be from the receiver's clock.
const Tolerance = 5 * time.Minute

// Length of a key, in bytes, as Standard Webhooks has it.
const (
	minKey = 24
	maxKey = 64
)

const (
	keyPrefix = "whsec_"
	redacted  = keyPrefix + "(redacted)"

	headerID        = "webhook-id"
	headerTimestamp = "webhook-timestamp"
	headerSignature = "webhook-signature"
)

// Key signs events. It does not show itself: not in texts, logs nor JSON.
type Key []byte

// ParseKey reads a key as it is written: "whsec_" and 24 to 64 bytes in base64. No error of it shows what was given.
func ParseKey(text string) (Key, error) {
	coded, ok := strings.CutPrefix(text, keyPrefix)
	key, err := base64.StdEncoding.Strict().DecodeString(coded)
	if !ok || err != nil || strings.ContainsAny(coded, "\r\n") || len(key) < minKey || len(key) > maxKey {
		return nil, fmt.Errorf("a key of webhooks is %s and %d to %d bytes in base64; make one: echo %s$(openssl rand -base64 32)", keyPrefix, minKey, maxKey, keyPrefix)
	}
	return key, nil
}

// Format writes that there is a key, whatever the verb.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText does the same for JSON.
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue does the same for logs.
func (Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// sign returns the signature of an event that is sent at a time, in seconds since 1970.
func (k Key) sign(id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, k)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// Verify is for receivers: it returns nil if the body is of somebody who has the key and was sent at most [Tolerance] from now. Only then
// may it be read. Of several signatures, as there are while a key is replaced, one has to fit.
func Verify(header http.Header, body []byte, key Key, now time.Time) error {
	id, timestamp := header.Get(headerID), header.Get(headerTimestamp)
	if id == "" || timestamp == "" || header.Get(headerSignature) == "" {
		return fmt.Errorf("the headers %s, %s and %s are not all there", headerID, headerTimestamp, headerSignature)
	}
	if len(key) == 0 {
		return errors.New("there is no key to verify with")
	}
	sent, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || strconv.FormatInt(sent, 10) != timestamp || sent < 0 {
		return fmt.Errorf("%s is not a time in seconds", headerTimestamp)
	}
	const most = int64(Tolerance / time.Second)
	if at := now.Unix(); sent < at-most || sent > at+most {
		return fmt.Errorf("%s is more than %s from now", headerTimestamp, Tolerance)
	}
	want := []byte(key.sign(id, timestamp, body))
	for got := range strings.FieldsSeq(header.Get(headerSignature)) {
		if hmac.Equal([]byte(got), want) {
			return nil
		}
	}
	return fmt.Errorf("no signature in %s fits", headerSignature)
}
