package name

import "testing"

func TestLike(t *testing.T) {
	for _, s := range []string{"id", "orderId", "x-total-count", "@type", "$ref", "sha256", "address_1", "grpc.health.v1.Health", "_links", "i18n", "line1Text", "h264", "dc:title"} {
		if !LikeString(s) || !Like([]byte(s)) {
			t.Errorf("%q is a name", s)
		}
	}
	for _, s := range []string{"", "1", "2024-01-31", "alice@example.com", "550e8400-e29b-41d4-a716-446655440000", "deadbeef01", "tok_1234567", "patient-ba4d6f0a", "x-c0ffee", "a1b2c3z", "-a", ".a", "a b", "naïve", "=", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"} {
		if LikeString(s) || Like([]byte(s)) {
			t.Errorf("%q is no name", s)
		}
	}
}
