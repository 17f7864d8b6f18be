// Registry is the Distribution registry with the one storage driver that the local cluster uses, the file system's.
//
// The full build links the clients of three clouds; this one adds little to what Kubernetes links anyway.
package main

import (
	"os"

	"github.com/distribution/distribution/v3/registry"

	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
)

func main() {
	if err := registry.RootCmd.Execute(); err != nil {
		os.Exit(1)
	}
}
