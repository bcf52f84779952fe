// Command kube-apiserver is the real kube-apiserver with a real etcd in the same process, for tests: one binary, one process to kill.
//
//	kube-apiserver ETCD-FOLDER ETCD-HOST [flags of kube-apiserver …]
//
// etcd listens on any ports of ETCD-HOST and keeps its data in ETCD-FOLDER, so that a new process goes on where a killed one ended.
// It is a module of its own because it needs all of Kubernetes.
package main

import (
	"fmt"
	"net"
	"net/url"
	"os"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: kube-apiserver ETCD-FOLDER ETCD-HOST [flags of kube-apiserver …]")
		os.Exit(2)
	}
	etcd, err := startEtcd(os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd:", err)
		os.Exit(1)
	}
	command := app.NewAPIServerCommand()
	command.SetArgs(append([]string{"--etcd-servers=http://" + etcd.Clients[0].Addr().String()}, os.Args[3:]...))
	code := cli.Run(command)
	etcd.Close()
	os.Exit(code)
}

// startEtcd returns once etcd serves. It does not call fsync: its data outlive the process, not the machine.
func startEtcd(dir, host string) (*embed.Etcd, error) {
	any := url.URL{Scheme: "http", Host: net.JoinHostPort(host, "0")}
	c := embed.NewConfig()
	c.Dir = dir
	c.UnsafeNoFsync = true
	c.LogLevel = "error"
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{any}, []url.URL{any}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{any}, []url.URL{any}
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	etcd, err := embed.StartEtcd(c)
	if err != nil {
		return nil, err
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return etcd, nil
	case err := <-etcd.Err():
		return nil, err
	}
}
