package hubtest

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// NATSCluster is three NATS servers that keep their streams in common, each in a
// process of its own.
type NATSCluster struct {
	URL     string                 // of all three, comma-separated
	Servers map[string]*NATSServer // by the names under which the cluster knows them
}

// ClusterSize is the number of its servers.
const ClusterSize = 3

// StartNATSCluster starts the servers for one test. It takes them some seconds
// more to agree on a leader.
func StartNATSCluster(t testing.TB) *NATSCluster {
	t.Helper()
	var routes []string
	for range ClusterSize {
		routes = append(routes, freePort(t))
	}
	c := &NATSCluster{Servers: map[string]*NATSServer{}}
	var urls []string
	for i, own := range routes {
		name := fmt.Sprintf("node-%d", i)
		s := startNATSServer(t, nameEnv+"="+name, clusterEnv+"="+own, routesEnv+"=nats://"+strings.Join(routes, ",nats://"))
		c.Servers[name] = s
		urls = append(urls, s.URL)
	}
	c.URL = strings.Join(urls, ",")
	return c
}

// freePort is an address that nobody listened on a moment ago: the servers of a
// cluster must know each other's before any of them runs.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
