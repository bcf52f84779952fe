// Package packages holds what is handed out to run Crossfade (deploy/container, deploy/systemd, deploy/kubernetes, deploy/envoy/ecs) against
// what reads it: BuildKit's parser, systemd, a real kube-apiserver, the SDK of AWS, a shell.
package packages
