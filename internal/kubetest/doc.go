// Package kubetest gives tests a real kube-apiserver, with a real etcd, that ends with the test and shows its log if it failed.
//
//	s := kubetest.Start(t, kubetest.User{Name: "crossfade", Groups: []string{"readers"}})
//	s.Create("/api/v1/namespaces", …)
//	config := s.Kubeconfig("crossfade")
//
// It has no controllers: tests write the EndpointSlices. It authorizes by RBAC; the user [Admin] may do anything. The API server allows
// no loopback addresses as endpoints.
//
// The binary is built from tools/kube-apiserver, a module of its own, once for each state of that folder, into
// ${XDG_CACHE_HOME:-~/.cache}/crossfade/kube-apiserver. That takes minutes. $CROSSFADE_KUBE_APISERVER names another binary of the same
// kind.
package kubetest
