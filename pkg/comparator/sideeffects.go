package comparator

import (
	"net/url"
	"strings"
	"unicode"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// acts are words in paths that say that a request does something, whatever its method.
var acts = wordSet(
	"logout", "logoff", "signout", "signoff", "unsubscribe", "optout", "verify", "verification", "confirm", "confirmation", "activate", "activation", "deactivate",
	"callback", "webhook", "webhooks", "export", "exports", "delete", "remove", "purge", "reset", "revoke", "redeem", "approve", "reject", "decline", "impersonate",
)

// once are words in names of query parameters whose values may be good for one use only.
var once = wordSet("sig", "signature", "hmac", "otp", "totp", "password", "passwd", "pwd", "secret", "ticket", "apikey", "credential", "credentials", "assertion", "samlresponse", "jwt")

// pages are words beside "token" that make it one that pages through a list.
var pages = wordSet("page", "next", "prev", "previous", "continuation", "cursor", "sync", "paging", "start")

func wordSet(words ...string) map[string]bool {
	out := make(map[string]bool, len(words))
	for _, w := range words {
		out[w] = true
	}
	return out
}

// exclusion says why a request looks as if it had side effects; empty if it does not, or if that is allowed. The text is for people and holds only words of ours and of the document.
func exclusion(m *policy.Mirror, path, query string) string {
	for _, p := range m.Allow {
		if below(path, p) {
			return ""
		}
	}
	if w := actOf(decodedPath(path)); w != "" {
		return "path has " + w
	}
	if w := onceOf(query); w != "" {
		return "query has " + w
	}
	return ""
}

// outside says which prefix of the document a path is excluded by; empty if none.
func outside(m *policy.Mirror, path string) string {
	plain := path
	if len(m.Exclude) > 0 {
		plain = decodedPath(path)
	}
	for _, p := range m.Exclude {
		if below(path, p) || below(plain, p) {
			return "excludePaths: " + p
		}
	}
	return ""
}

// below says whether a path begins with a prefix, by whole segments.
func below(path, prefix string) bool {
	if !strings.HasPrefix(path, prefix) {
		return false
	}
	return len(path) == len(prefix) || strings.HasSuffix(prefix, "/") || path[len(prefix)] == '/'
}

// decodedPath undoes percent-encoding, also of what was encoded twice.
func decodedPath(path string) string {
	for range 3 {
		next, err := url.PathUnescape(path)
		if err != nil || next == path {
			break
		}
		path = next
	}
	return path
}

// actOf returns the first word of a path that says that it does something.
func actOf(path string) string {
	for segment := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '/' || r == '\\' || r == ';' || r == ':' }) {
		if w := wordOf(segment, acts); w != "" {
			return w
		}
	}
	return ""
}

// wordOf returns the word of a set that a name is, or has in it between dashes, underscores, points or capitals.
func wordOf(name string, set map[string]bool) string {
	if w := joined(name); set[w] {
		return w
	}
	for _, w := range split(name) {
		if set[w] {
			return w
		}
	}
	return ""
}

func isMark(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }

// joined is a name in lower case, without marks.
func joined(name string) string {
	return strings.Map(func(r rune) rune {
		if isMark(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

// split returns the words of a name, in lower case.
func split(name string) []string {
	var out []string
	word, small := []rune(nil), false
	end := func() {
		if len(word) > 0 {
			out = append(out, string(word))
		}
		word = word[:0]
	}
	for _, r := range name {
		if isMark(r) || unicode.IsUpper(r) && small {
			end()
		}
		small = unicode.IsLower(r)
		if !isMark(r) {
			word = append(word, unicode.ToLower(r))
		}
	}
	end()
	return out
}

// onceOf returns the word for which a query is not asked.
func onceOf(query string) string {
	for parameter := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(parameter, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		if w := wordOf(name, once); w != "" {
			return w
		}
		if joined(name) == "code" || joined(name) == "pass" {
			return joined(name)
		}
		if isToken(name) {
			return "token"
		}
	}
	return ""
}

// isToken says that a parameter is a token, but not one that pages through a list.
func isToken(name string) bool {
	token := false
	for _, w := range split(name) {
		if pages[w] {
			return false
		}
		token = token || w == "token"
	}
	whole := joined(name)
	if strings.HasSuffix(whole, "token") && !pages[strings.TrimSuffix(whole, "token")] {
		token = true
	}
	return token
}
