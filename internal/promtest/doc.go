// Package promtest gives tests a real Prometheus that ends with the test and shows its log if it failed.
//
//	target := promtest.NewTarget(t)
//	target.Set(`errors{service="orders"}`, 0.5)
//	s := promtest.Start(t, target.Addr)
//	s.Await(`errors{service="orders"}`)
//
// It scrapes its targets every second.
//
// The binary is built from the module in the folder prometheus, once for each state of that folder, into
// ${XDG_CACHE_HOME:-~/.cache}/crossfade/prometheus. That takes two minutes, 150 MB from the module proxy and Go alone. go.sum pins every source by SHA-256. Without
// service discoveries and pages for browsers it has all that tests ask. $CROSSFADE_PROMETHEUS names another binary.
package promtest
