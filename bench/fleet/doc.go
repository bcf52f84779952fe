// Command fleet measures what a change of weights costs a control plane with many proxies, beside stock go-control-plane.
package main
