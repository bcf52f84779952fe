// Package dnstest is a DNS server for tests, on a loopback address of its own, over UDP and TCP. What it answers is set name by name while
// it runs, failures and silence included, and it remembers what it was asked and when.
//
//	s := dnstest.Start(t)
//	s.Set("lb.test", dnstest.Addresses(time.Second, a, b))
//	…
//	s.Set("lb.test", dnstest.NotFound)
package dnstest
