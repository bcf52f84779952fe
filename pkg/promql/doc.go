// Package promql asks Prometheus for a number, for guards whose figures the proxies do not have.
//
// A query is asked of a server that the settings name. Its answer is one finite number or none: a scalar, or a vector of one element. No
// element, several, and NaN, which is what a share of no requests is, are no number, and nothing is made of them: to read NaN as 0 is to
// promote what nobody has seen.
//
// Redirects are not followed, since the token would go with them. A proxy is used if HTTPS_PROXY or HTTP_PROXY name one.
package promql
