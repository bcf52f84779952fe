package loadgen

import "net/http"

// WithPosts makes every n-th request a POST with a body, and the others as the given one is: for [Config].Make. That is 20 % with n = 5.
// Nothing is retried here, so a POST that fails counts as failed.
func WithPosts(n uint64, usual Request, body []byte) func(i uint64) Request {
	post := usual
	post.Method, post.Body = http.MethodPost, body
	return func(i uint64) Request {
		if i%n == n-1 {
			return post
		}
		return usual
	}
}
