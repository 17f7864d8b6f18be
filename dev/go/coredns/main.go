// Coredns is CoreDNS with the plugins that the local cluster's Corefile names, and no others.
//
// The full build links the clients of several clouds; this one links a few megabytes beside the Kubernetes client.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/template"
)

func main() {
	// The order of the plugins in the chain. As in CoreDNS's own plugin.cfg but for the last: here the template answers
	// what the kubernetes plugin passes on, so that a name outside the cluster gets NXDOMAIN and not REFUSED.
	dnsserver.Directives = []string{"ready", "health", "errors", "cache", "kubernetes", "template"}
	coremain.Run()
}
