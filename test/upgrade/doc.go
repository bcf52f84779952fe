// Package upgrade replaces a control plane by another version of it, and back, under a fleet that serves: no request fails, nothing is
// sent again that proxies have (bytes are counted), and what one version stored the other reads or refuses by name.
package upgrade
